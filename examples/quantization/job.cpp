#include "quantization/job.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <utility>

#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/plan_picture.hpp>

#include "command_line.hpp"
#include "quantization/gguf_plan.hpp"
#include "transformer/baseline_methods.hpp"
#include "transformer/calibration_text.hpp"
#include "transformer/evaluation.hpp"
#include "transformer/grouped_matrix.hpp"
#include "transformer/rate_chart.hpp"
#include "transformer/text_file.hpp"

namespace quantization {
namespace {

void write_text(const std::string& text, const std::string& target) {
  nash_swarm::AtomicFile file(target);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace

Job::Job(const CLI::App& app, const Options& options)
    : app_(app),
      options_(options),
      scope_(transformer::parse_scope(options.scope)),
      pool_(options.threads),
      checkpoint_(options.model),
      tokenizer_(checkpoint_.make_tokenizer()),
      limits_(options.size_limits(checkpoint_.float32_bytes())) {}

void Job::run() {
  const bool packs = options_.packs();
  check_inputs(packs);
  if (options_.calibrates()) calibrate();
  if (options_.plans_for_llama_cpp()) return plan_for_llama_cpp();
  if (packs) add_packed();
  if (options_.compare || !packs) add_baselines();
  if (!options_.dry_run) evaluate();
  std::fputs(transformer::format_report(report_).c_str(), stdout);
  if (packs && !options_.dry_run) std::printf("\npacked model: %s\n", out_.string().c_str());
  if (!options_.report.empty()) transformer::write_report(report_, options_.report);
  if (!options_.chart.empty()) {
    write_text(transformer::rate_chart(report_), options_.chart);
  }
  if (!options_.plan_out.empty()) {
    write_text(nash_swarm::model_plan_text(plans_.front()), options_.plan_out);
  }
  if (!options_.picture.empty()) {
    write_text(nash_swarm::plan_picture(plans_.front().matrices()), options_.picture);
  }
  if (work_ && options_.work.empty()) work_->remove();
}

void Job::check_inputs(bool packs) {
  if (options_.plans_for_llama_cpp()) check_plan_for_llama_cpp();
  texts_ = options_.text.read_all(app_, tokenizer_, checkpoint_.config().n_ctx);
  if (!options_.out.empty() && !packs) {
    throw nash_swarm::Error("--out", "baselines are not stored", "use --method nash_swarm");
  }
  if (options_.asks_for_plans() && !packs && !options_.plans_for_llama_cpp()) {
    throw nash_swarm::Error("--method", "baselines have no plan and no rules",
                            "use --method nash_swarm");
  }
  if (packs) check_plan();
  if (options_.calibrates()) {
    if (!packs) {
      transformer::Pieces moments_alone;
      moments_alone.measured = false;
      quantizer_.emplace(checkpoint_, scope_, options_.seed, pool_, nash_swarm::Rules{},
                         moments_alone);
    }
    const std::vector<std::int32_t> tokens =
        transformer::calibration_tokens(tokenizer_, options_.calibration);
    calibration_ = transformer::calibration_windows(tokens, checkpoint_.config().n_ctx,
                                                    options_.tokens_to_calibrate_on());
    held_out_ = transformer::held_out_windows(tokens, checkpoint_.config().n_ctx,
                                              options_.tokens_to_calibrate_on(),
                                              options_.tokens_to_calibrate_on() / 4);
  }
  const std::filesystem::path folder = std::filesystem::absolute(options_.model);
  const std::string name =
      (folder.has_filename() ? folder : folder.parent_path()).filename().string();
  out_ = options_.out.empty() ? name + ".nash_swarm.safetensors" : options_.out;
  if (packs && !options_.dry_run) nash_swarm::AtomicFile probe(out_);
  for (const std::string& target :
       {options_.report, options_.plan_out, options_.picture, options_.chart}) {
    if (!target.empty()) nash_swarm::AtomicFile probe(target);
  }
  checkpoint_.check_finite(pool_);
  report_.model = name;
  report_.without = options_.without;
  report_.parameters = checkpoint_.parameter_count();
  for (const auto& matrix : checkpoint_.matrices()) {
    report_.matrix_weights += matrix->out_features() * matrix->in_features();
  }
}

void Job::check_plan_for_llama_cpp() {
  refuse_flags(app_,
               {"--bytes", "--compression", "--plan", "--fix", "--forbid", "--min-bits",
                "--max-bits", "--without", "--method", "--compare", "--out", "--picture",
                "--report", "--chart", "--dry-run"},
               "means nothing for a plan of llama.cpp's types",
               "leave it out, or give --plan-out a name that ends in .json");
  if (limits_.size() > 1) {
    throw nash_swarm::Error("--bits", "a plan of llama.cpp's types has one size",
                            "give one number of bits");
  }
}

void Job::check_plan() {
  quantizer_.emplace(checkpoint_, scope_, options_.seed, pool_, options_.rules(),
                     options_.pieces());
  if (!options_.plan.empty()) {
    stored_plan_ = nash_swarm::read_model_plan(
        options_.plan, transformer::read_text_file(options_.plan), quantizer_->matrices());
    quantizer_->keep_orders(stored_plan_->orders);
    packed_limits_ = {{}};
  } else {
    packed_limits_ = limits_.empty() ? std::vector<transformer::SizeLimit>{{3.0, {}}} : limits_;
    for (const auto& limit : packed_limits_) transformer::check_limit(*quantizer_, limit);
  }
}

nash_swarm::Plan Job::stored_plan() const {
  const nash_swarm::Certificate& stated = stored_plan_->certificate;
  nash_swarm::Plan plan =
      quantizer_->plan_of(stored_plan_->cells, stated.budget, stated.price, stated.y);
  if (plan.certificate() != stated) {
    std::fprintf(stderr,
                 "warning: %s: its certificate is not that of these cells under these rules%s\n",
                 options_.plan.c_str(),
                 plan.certificate().budget == stated.budget ? "" : "; they exceed its budget");
  }
  return plan;
}

void Job::open_work_folder() {
  work_.emplace(options_.work.empty() ? out_.string() + ".work" : options_.work);
  if (work_->resumes()) std::fprintf(stderr, "going on from %s\n", work_->path().c_str());
  transformer::CalibrationStore store{&*work_, transformer::half_of_memory()};
  if (options_.calibration_memory) {
    constexpr std::uint64_t megabyte = 1'000'000;
    store.memory = std::min(*options_.calibration_memory, UINT64_MAX / megabyte) * megabyte;
  }
  quantizer_->use(store);
}

void Job::calibrate() {
  open_work_folder();
  progress_.stage("calibrating", quantizer_->weights());
  quantizer_->calibrate(calibration_, [this](std::size_t weights) { progress_.advance(weights); });
  if (!packed_limits_.empty() && !options_.dry_run && options_.pieces().measured) {
    progress_.stage("measuring plans", 1);
    quantizer_->fit_prediction(held_out_);
  }
  progress_.finish();
}

void Job::add_packed() {
  const transformer::Quantizer& quantizer = *quantizer_;
  const std::vector<transformer::SizeLimit>& limits = packed_limits_;
  std::vector<nash_swarm::Plan>& plans = plans_;
  for (const auto& limit : limits) {
    plans.push_back(stored_plan_ ? stored_plan() : transformer::plan_within(quantizer, limit));
  }
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (options_.dry_run) {
      report_.rows.push_back(transformer::planned_row(quantizer, scope_, plans[i], limits[i]));
      continue;
    }
    // The first budget is what --out holds; the others are stored only to be read back.
    std::filesystem::path target = out_;
    if (i != 0) target += "." + std::to_string(i) + ".tmp";
    models_.push_back(transformer::pack_and_read_back(
        quantizer, scope_, plans[i], limits[i], target, {i == 0, options_.finishes()}, progress_));
  }
}

void Job::add_baselines() {
  progress_.stage("baselines", 1);
  const transformer::InputMoments moments = [this](const std::string& matrix) {
    return transformer::dense(quantizer_->moments(matrix)->inputs);
  };
  for (const transformer::BaselineMethod& method : transformer::baseline_methods(moments)) {
    if (!options_.compare && options_.method != method.name) continue;
    std::vector<transformer::QuantizedModel> models;
    for (const transformer::Baseline& rate : method.rates) {
      models.push_back(
          transformer::run_baseline(checkpoint_, scope_, rate, !options_.dry_run, pool_));
    }
    // A comparison shows every baseline at its natural rates, whatever the budget.
    if (!options_.compare) models = transformer::baselines_within(std::move(models), limits_);
    for (auto& model : models) models_.push_back(std::move(model));
  }
  progress_.finish();
  if (!options_.dry_run) return;
  for (const auto& model : models_) report_.rows.push_back(model.row);
}

void Job::plan_for_llama_cpp() {
  const double bits = limits_.empty() ? 4.5 : limits_.front().bits.value();
  const gguf::TypePlan plan = gguf_plan(checkpoint_, *quantizer_, bits, pool_);
  std::fputs(gguf::plan_text(plan, quantizer_->weights()).c_str(), stdout);
  write_text(gguf::tensor_type_lines(plan), options_.plan_out);
  if (work_ && options_.work.empty()) work_->remove();
}

void Job::evaluate() {
  const transformer::Model float_model = transformer::make_float_model(checkpoint_, false);
  std::vector<const transformer::Model*> models{&float_model};
  for (const auto& quantized : models_) models.push_back(quantized.model.get());
  const auto evaluations = transformer::evaluate_texts(models, true, texts_, pool_, progress_);
  for (std::size_t t = 0; t < texts_.size(); ++t) {
    report_.texts.push_back({std::move(texts_[t]), evaluations[t].front()});
    for (std::size_t i = 0; i < models_.size(); ++i) {
      models_[i].row.evaluations.push_back(evaluations[t][i + 1]);
    }
  }
  for (transformer::QuantizedModel& quantized : models_) {
    quantized.row.peak_memory_bytes = transformer::peak_memory_bytes();
    report_.rows.push_back(quantized.row);
  }
}

}  // namespace quantization
