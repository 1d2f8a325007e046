#include "transformer/paper_table.hpp"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include <nash_swarm/core/error.hpp>

#include "transformer/baselines.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/rows.hpp"
#include "transformer/text_file.hpp"
#include "transformer/tokenizer.hpp"

namespace transformer {
namespace {

/// Evenly spaced windows of a text, one after the other, at most `most_tokens` in all but at least
/// one.
std::vector<std::int32_t> samples_of(const EvaluationText& text, std::size_t most_tokens) {
  const std::size_t available = text.windows.size();
  const std::size_t wanted =
      std::min(available, std::max<std::size_t>(1, most_tokens / text.context));
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; i < wanted; ++i) {
    const Window& window = text.windows[i * available / wanted];
    tokens.insert(tokens.end(), window.inputs.begin(), window.inputs.end());
    tokens.push_back(window.targets.back());
  }
  return tokens;
}

/// A checkpoint with its texts, before anything is computed.
struct Case {
  std::unique_ptr<const Checkpoint> checkpoint;
  std::string name;
  EvaluationText text;
  std::vector<std::int32_t> calibration;
};

Case open_case(const std::string& folder, const PaperSetting& setting, const std::string& text,
               const std::string& calibration) {
  Case opened;
  opened.checkpoint = std::make_unique<const Checkpoint>(folder);
  const Checkpoint& checkpoint = *opened.checkpoint;
  const Tokenizer tokenizer = checkpoint.make_tokenizer();
  const std::size_t context = checkpoint.config().n_ctx;
  opened.text = paper_protocol(tokenizer, text, setting.text.string(), context, setting.samples);
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  opened.calibration =
      samples_of(paper_protocol(tokenizer, calibration, setting.calibration.string(), context, all),
                 setting.calibration_tokens);
  const std::filesystem::path absolute = std::filesystem::absolute(folder);
  opened.name = (absolute.has_filename() ? absolute : absolute.parent_path()).filename().string();
  return opened;
}

QuantizedModel packed_model(const Case& opened, const PaperSetting& setting,
                            nash_swarm::ThreadPool& pool, Progress& progress) {
  Quantizer quantizer(*opened.checkpoint, Scope::lm_head, setting.seed, pool);
  const double kept = 1.0 - setting.compression_percent / 100.0;
  const auto bytes =
      static_cast<std::uint64_t>(4.0 * kept * static_cast<double>(quantizer.weights()));
  progress.stage("calibrating " + opened.name, quantizer.weights());
  quantizer.calibrate(
      opened.calibration, [&](std::size_t weights) { progress.advance(weights); },
      opened.text.context);
  progress.finish();
  const nash_swarm::Plan plan = quantizer.plan(nash_swarm::Budget::bytes(bytes));
  return pack_and_read_back(quantizer, Scope::lm_head, plan, {}, opened.name + ".paper.tmp",
                            {false, false}, progress);
}

double mean_unpadded_loss(const EvaluationText& text, const WindowSums& sums) {
  const double sum = std::accumulate(sums.unpadded.begin(), sums.unpadded.end(), 0.0);
  return sum / static_cast<double>(text.scored_tokens - text.padding_tokens);
}

PaperTable table_of(Case opened, const PaperSetting& setting, nash_swarm::ThreadPool& pool,
                    Progress& progress) {
  const Checkpoint& checkpoint = *opened.checkpoint;
  std::vector<QuantizedModel> models;
  for (const Baseline& baseline : {paper_uniform(), paper_nash(true)}) {
    models.push_back(run_baseline(checkpoint, Scope::lm_head, baseline, true, pool));
  }
  models.push_back(packed_model(opened, setting, pool, progress));

  const Model float_model = make_float_model(checkpoint, false);
  std::vector<const Model*> views{&float_model};
  for (const QuantizedModel& model : models) views.push_back(model.model.get());
  progress.stage("evaluating " + opened.name, views.size() * opened.text.scored_tokens);
  const std::vector<Evaluation> evaluations = evaluate(
      views, true, opened.text, pool, [&](std::size_t tokens) { progress.advance(tokens); });
  progress.finish();

  PaperTable table;
  table.model = opened.name;
  table.float_model = evaluations.front();
  const WindowSums reference = window_sums(opened.text, evaluations.front());
  table.unpadded_loss = mean_unpadded_loss(opened.text, reference);
  for (std::size_t i = 0; i < models.size(); ++i) {
    const WindowSums sums = window_sums(opened.text, evaluations[i + 1]);
    models[i].row.evaluations = {evaluations[i + 1]};
    table.rows.push_back({std::move(models[i].row), loss_change(reference.all, sums.all),
                          loss_change(reference.unpadded, sums.unpadded)});
  }
  table.text = std::move(opened.text);
  return table;
}

}  // namespace

double PaperRow::matrix_compression_percent() const {
  return 100.0 * (1.0 - row.bits_per_weight() / 32.0);
}

std::vector<PaperTable> paper_tables(std::span<const std::string> folders,
                                     const PaperSetting& setting, nash_swarm::ThreadPool& pool,
                                     Progress& progress) {
  const std::string text = read_text(setting.text);
  const std::string calibration = read_text(setting.calibration);
  std::vector<Case> cases;
  for (const std::string& folder : folders) {
    cases.push_back(open_case(folder, setting, text, calibration));
  }
  for (const Case& opened : cases) opened.checkpoint->check_finite(pool);
  std::vector<PaperTable> tables;
  for (Case& opened : cases) {
    tables.push_back(table_of(std::move(opened), setting, pool, progress));
  }
  return tables;
}

}  // namespace transformer
