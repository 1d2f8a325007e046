#include "transformer/quantizer.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "examples/tiny_model.hpp"
#include "io/support.hpp"
#include "support/random_matrix.hpp"
#include "transformer/evaluation.hpp"
#include "transformer/packed.hpp"
#include "transformer/report.hpp"
#include "transformer/rows.hpp"
#include "transformer/text_file.hpp"
#include "transformer/tokenizer.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::Budget;
using nash_swarm::PackedModelFile;
using nash_swarm::Plan;
using nash_swarm::ThreadPool;
using nash_swarm::test::contains;
using nash_swarm::test::ignore;
using nash_swarm::test::message_of;
using nash_swarm::test::read_text;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::tiny_checkpoint;
using transformer::Quantizer;
using transformer::Scope;
using Keys = std::set<std::string>;
using Tokens = std::vector<std::int32_t>;

const transformer::Tokenizer& tokenizer() {
  static const transformer::Tokenizer made = tiny_checkpoint().make_tokenizer();
  return made;
}

/// The first bytes of the bundled held-out text.
std::string some_text(std::size_t bytes) {
  return transformer::read_text(fs::path(NASH_SWARM_EXAMPLE_DATA) / "valid.txt").substr(0, bytes);
}

/// A quantizer that has seen one short window.
std::unique_ptr<Quantizer> quantizer_of(Scope scope, ThreadPool& pool) {
  auto quantizer = std::make_unique<Quantizer>(tiny_checkpoint(), scope, 1, pool);
  Tokens tokens = tokenizer().encode(some_text(2000)).ids;
  tokens.resize(64);
  quantizer->calibrate(tokens, ignore);
  return quantizer;
}

Keys keys_of(const nlohmann::json& object) {
  Keys keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

}  // namespace

TEST_CASE("quantizer: planned sizes are those of the file, to the byte, in every scope") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const fs::path target = folder / "model";
  for (const Scope scope : {Scope::all, Scope::blocks, Scope::lm_head}) {
    CAPTURE(transformer::name_of(scope));
    const auto quantizer = quantizer_of(scope, pool);
    std::vector<Plan> plans = {quantizer->plan(Budget::bits(3.0))};
    const nash_swarm::PackedModelSizes at_three_bits = quantizer->sizes(plans.front());
    CHECK(8.0 * static_cast<double>(at_three_bits.matrix_bytes) <=
          3.0 * static_cast<double>(quantizer->weights()));
    CHECK(8.0 * static_cast<double>(at_three_bits.matrix_bytes) >
          2.99 * static_cast<double>(quantizer->weights()));
    const std::uint64_t limit = at_three_bits.file_bytes + 54321;
    plans.push_back(quantizer->plan_for_file(limit));
    CHECK(quantizer->sizes(plans.back()).file_bytes <= limit);
    for (const Plan& plan : plans) {
      const nash_swarm::PackedModelSizes planned = quantizer->sizes(plan);
      CHECK(planned.matrix_bytes == plan.certificate().bytes);
      quantizer->write(plan, target, ignore);
      const PackedModelFile file(target);
      CHECK(fs::file_size(target) == planned.file_bytes);
      CHECK(file.sizes().file_bytes == planned.file_bytes);
      CHECK(file.sizes().matrix_bytes == planned.matrix_bytes);
      CHECK(file.sizes().other_bytes == planned.other_bytes);
      CHECK(planned.matrix_bytes + planned.other_bytes == planned.file_bytes);
      CHECK((file.find_matrix("wte") != nullptr) == (scope != Scope::blocks));
      CHECK((file.find_matrix("h.0.mlp.c_fc") != nullptr) == (scope != Scope::lm_head));
    }
  }
}

TEST_CASE("quantizer: a limit for the file is kept and used") {
  ThreadPool pool(2);
  const auto quantizer = quantizer_of(Scope::all, pool);
  const std::uint64_t smallest = quantizer->sizes(quantizer->plan_for_file(0x7fffffff)).other_bytes;
  std::string message = message_of([&] { quantizer->plan_for_file(smallest / 2); });
  CHECK(contains(message, "smallest possible file of "));
  // The smallest size that the message names is possible, and one byte less is not.
  const std::uint64_t named = std::stoull(message.substr(message.find("file of ") + 8));
  CHECK(quantizer->sizes(quantizer->plan_for_file(named)).file_bytes == named);
  CHECK(contains(message_of([&] { quantizer->plan_for_file(named - 1); }), std::to_string(named)));
  const std::uint64_t least = quantizer->sizes(quantizer->plan(Budget::bits(1.5))).file_bytes;
  for (std::uint64_t limit = least; limit < 4 * least; limit += least / 5) {
    CAPTURE(limit);
    const std::uint64_t bytes = quantizer->sizes(quantizer->plan_for_file(limit)).file_bytes;
    CHECK(bytes <= limit);
    CHECK(static_cast<double>(bytes) > 0.99 * static_cast<double>(limit));
  }
}

TEST_CASE("quantizer: the file's bytes and its loss do not depend on run or threads") {
  const TemporaryFolder folder;
  std::vector<std::string> files;
  std::vector<double> losses;
  const transformer::EvaluationText text =
      transformer::full_protocol(tokenizer(), some_text(4000), "valid.txt", 64, 64, 512);
  for (const std::size_t threads : {1u, 2u, 2u}) {
    ThreadPool pool(threads);
    const auto quantizer = quantizer_of(Scope::all, pool);
    const fs::path target = folder / ("model" + std::to_string(files.size()));
    quantizer->write(quantizer->plan(Budget::bits(3.0)), target, ignore);
    files.push_back(read_text(target));
    const transformer::Model model =
        transformer::make_packed_model(std::make_shared<const PackedModelFile>(target), false);
    const transformer::Model* const models[] = {&model};
    losses.push_back(transformer::evaluate(models, false, text, pool).front().loss);
  }
  CHECK(text.scored_tokens == 512);
  CHECK(files[0] == files[1]);
  CHECK(files[1] == files[2]);
  CHECK(losses[0] == losses[1]);
  CHECK(losses[1] == losses[2]);
  CHECK(losses[0] == doctest::Approx(std::log(1024.0)).epsilon(0.05));  // it knows nothing
}

TEST_CASE("quantizer: a finished file has the planned size and loses what the finish says") {
  const TemporaryFolder folder;
  constexpr std::size_t window_length = 64;
  Tokens tokens = tokenizer().encode(some_text(20000)).ids;
  tokens.resize(16 * window_length);
  std::vector<std::string> files;
  for (const std::size_t threads : {1u, 2u}) {
    ThreadPool pool(threads);
    Quantizer quantizer(tiny_checkpoint(), Scope::all, 1, pool);
    quantizer.calibrate(tokens, ignore);
    const Plan plan = quantizer.plan(Budget::bits(2.0));
    const fs::path target = folder / ("model" + std::to_string(threads));
    std::size_t last = 0;
    const transformer::FinishResult result =
        quantizer.write_finished(plan, target, ignore, [&](std::size_t step, std::size_t steps) {
          CHECK(step <= steps);
          last = step;
        });
    CHECK(last > 0);
    CHECK(result.kld_after < result.kld_before);
    CHECK(fs::file_size(target) == quantizer.sizes(plan).file_bytes);
    transformer::EvaluationText text;  // the windows that are held out
    for (const std::size_t window : {7u, 15u}) {
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(window * window_length);
      text.windows.push_back(
          {Tokens(begin, begin + window_length), Tokens(begin, begin + window_length)});
    }
    const transformer::Model float_model = transformer::make_float_model(tiny_checkpoint(), false);
    const transformer::Model finished =
        transformer::make_packed_model(std::make_shared<const PackedModelFile>(target), false);
    const transformer::Model* const models[] = {&float_model, &finished};
    const double kld = transformer::evaluate(models, true, text, pool)[1].kld.value();
    // Activations have 8 bits where the finish has floats.
    CHECK(kld == doctest::Approx(result.kld_after).epsilon(0.02));
    quantizer.write(plan, folder / "unfinished", ignore);
    CHECK(read_text(folder / "unfinished") != read_text(target));
    files.push_back(read_text(target));
  }
  CHECK(files[0] == files[1]);
}

TEST_CASE("quantizer: rows keep the orders of an earlier plan, in sizes, plan and file") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  Quantizer quantizer(tiny_checkpoint(), Scope::blocks, 1, pool);
  const std::uint64_t natural_bytes = quantizer.smallest().matrix_bytes;
  std::vector<nash_swarm::RowOrder> orders;
  std::uint64_t bytes = 0;
  for (const nash_swarm::MatrixPlan& matrix : quantizer.matrices()) {
    CHECK(matrix.order.natural());
    orders.push_back(support::random_row_order(matrix.out_features, orders.size()));
    bytes += orders.back().stored_bytes();
  }
  quantizer.keep_orders(orders);
  quantizer.calibrate(Tokens(64, 5), ignore);
  CHECK(quantizer.smallest().matrix_bytes == natural_bytes + bytes);
  const Plan plan = quantizer.plan(Budget::bits(3.0));
  CHECK(plan.certificate().bytes == quantizer.sizes(plan).matrix_bytes);
  quantizer.write(plan, folder / "model", ignore);
  const PackedModelFile file(folder / "model");
  CHECK(file.sizes().matrix_bytes == plan.certificate().bytes);
  for (std::size_t m = 0; m < orders.size(); ++m) {
    CHECK(quantizer.matrices()[m].order == orders[m]);
    CHECK(plan.matrices()[m].order == orders[m]);
    CHECK(file.find_matrix(plan.matrices()[m].name)->row_order() == orders[m]);
  }
}

TEST_CASE("quantizer: another seed gives another file, its matrices of the same size") {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  std::vector<std::uint64_t> bytes;
  for (const std::uint64_t seed : {1u, 2u}) {
    Quantizer quantizer(tiny_checkpoint(), Scope::lm_head, seed, pool);
    quantizer.calibrate(Tokens(32, 5), ignore);
    const Plan plan = quantizer.plan(Budget::bits(3.0));
    bytes.push_back(quantizer.sizes(plan).matrix_bytes);
    quantizer.write(plan, folder / std::to_string(seed), ignore);
  }
  CHECK(bytes[0] <= bytes[1] + 64);
  CHECK(bytes[1] <= bytes[0] + 64);
  CHECK(read_text(folder / "1") != read_text(folder / "2"));
}

TEST_CASE("quantizer: windows of calibration text") {
  Tokens tokens(1000);
  for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::int32_t>(i);
  const Tokens windows = transformer::calibration_windows(tokens, 100, 300);
  REQUIRE(windows.size() == 300);
  CHECK(windows[0] == 0);
  CHECK(windows[100] == 300);
  CHECK(windows[200] == 600);
  CHECK(transformer::calibration_windows(tokens, 100, 5).size() == 100);
  CHECK(transformer::calibration_windows(tokens, 100, 100000) == tokens);
  CHECK(transformer::calibration_windows(Tokens(7), 100, 300).size() == 7);
  CHECK(transformer::calibration_windows({}, 100, 300).empty());
}

TEST_CASE("report: the keys of the schema, and sizes that add up to the file on disk") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const auto quantizer = quantizer_of(Scope::lm_head, pool);
  const transformer::SizeLimit limit{4.0, {}};
  transformer::Progress progress;
  transformer::QuantizedModel quantized = transformer::pack_and_read_back(
      *quantizer, Scope::lm_head, quantizer->plan(Budget::bits(4.0)), limit, folder / "model", {},
      progress);
  transformer::Report report;
  report.model = "wiki-gpt2";
  report.parameters = tiny_checkpoint().parameter_count();
  report.matrix_weights = 1;
  const transformer::EvaluationText text =
      transformer::full_protocol(tokenizer(), some_text(1000), "valid.txt", 64, 64, 64);
  const transformer::Model float_model = transformer::make_float_model(tiny_checkpoint(), false);
  const transformer::Model* const models[] = {&float_model, quantized.model.get()};
  const auto evaluations = transformer::evaluate(models, true, text, pool);
  report.texts.push_back({text, evaluations[0]});
  quantized.row.evaluations.push_back(evaluations[1]);
  report.rows.push_back(quantized.row);
  report.rows.push_back(transformer::run_baseline(tiny_checkpoint(), Scope::lm_head,
                                                  transformer::rtn(4, 64), false, pool)
                            .row);
  transformer::write_report(report, folder / "report.json");

  const auto json = nlohmann::json::parse(read_text(folder / "report.json"));
  CHECK(keys_of(json) == Keys{"model", "text", "float", "without", "rows", "further_texts"});
  CHECK(keys_of(json["model"]) == Keys{"name", "parameters", "matrix_weights", "float32_bytes"});
  CHECK(keys_of(json["text"]) == Keys{"file", "protocol", "context", "stride", "scored_tokens"});
  CHECK(keys_of(json["float"]) == Keys{"loss", "perplexity"});
  REQUIRE(json["rows"].size() == 2);
  for (const auto& row : json["rows"]) {
    CHECK(keys_of(row) == Keys{"method",
                               "group",
                               "scope",
                               "stored",
                               "requested_bits",
                               "matrix_weights",
                               "bits_per_weight",
                               "matrix_bytes",
                               "other_bytes",
                               "file_bytes",
                               "compression_percent",
                               "loss",
                               "loss_change_percent",
                               "perplexity",
                               "kld",
                               "predicted_kld",
                               "top1_agreement",
                               "best_rival",
                               "quantize_seconds",
                               "evaluate_seconds",
                               "peak_memory_bytes",
                               "certificate"});
    const auto matrix_bytes = row["matrix_bytes"].get<double>();
    CHECK(matrix_bytes + row["other_bytes"].get<double>() == row["file_bytes"].get<double>());
    CHECK(row["bits_per_weight"].get<double>() ==
          doctest::Approx(8.0 * matrix_bytes / row["matrix_weights"].get<double>()));
    CHECK(row["compression_percent"].get<double>() ==
          doctest::Approx(100.0 * (1.0 - row["file_bytes"].get<double>() /
                                             json["model"]["float32_bytes"].get<double>())));
    CHECK(row["matrix_weights"] == 1024 * 128);
    CHECK(row["scope"] == "lm_head");
  }
  const auto& stored = json["rows"][0];
  CHECK(stored["stored"] == true);
  CHECK(stored["requested_bits"] == 4.0);
  CHECK(stored["file_bytes"].get<std::uintmax_t>() == fs::file_size(folder / "model"));
  const auto keys = keys_of(stored["certificate"]);
  for (const char* key : {"players", "epsilon", "epsilon_at_price", "bytes", "budget", "loss",
                          "lower_bound", "gap", "price"}) {
    CHECK(keys.contains(key));
  }
  CHECK(stored["certificate"]["bytes"] == stored["matrix_bytes"]);
  CHECK(stored["kld"].get<double>() > 0.0);
  CHECK(json["text"]["scored_tokens"] == 64);
  const auto& baseline = json["rows"][1];
  CHECK(baseline["stored"] == false);
  CHECK(baseline["requested_bits"].is_null());
  CHECK(baseline["certificate"].is_null());
  CHECK(baseline["loss"].is_null());
}
