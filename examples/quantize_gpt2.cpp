#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/model_plan_file.hpp>
#include <nash_swarm/io/plan_picture.hpp>

#include "command_line.hpp"
#include "gpt2/evaluation.hpp"
#include "gpt2/grouped_matrix.hpp"
#include "gpt2/paper_table.hpp"
#include "gpt2/rate_chart.hpp"
#include "gpt2/rows.hpp"
#include "gpt2/tokenizer.hpp"
#include "text_options.hpp"

/// The main job: quantizes a GPT-2, writes the packed file, reads it back, and compares it with the
/// float model and with baselines on real text.

namespace {

struct Options {
  std::string model = NASH_SWARM_EXAMPLE_DATA "/wiki-gpt2";
  std::string calibration = NASH_SWARM_EXAMPLE_DATA "/calibration.txt";
  std::optional<std::size_t> calibration_tokens;
  std::optional<std::uint64_t> calibration_memory;  // MB
  TextOptions text;
  std::vector<std::string> bits;
  std::optional<std::uint64_t> bytes;
  std::optional<double> compression;
  std::string method = "nash_swarm";
  bool compare = false;
  std::vector<std::string> paper_table;
  std::string scope = "all";
  std::uint64_t seed = 0;
  std::size_t threads = 0;
  std::vector<std::string> fixed;
  std::vector<std::string> forbidden;
  std::string profile = "default";
  std::vector<std::string> without;
  std::optional<double> min_bits;
  std::optional<double> max_bits;
  std::string plan;
  std::string plan_out;
  std::string picture;
  std::string out;
  std::string work;
  std::string report;
  std::string chart;
  bool dry_run = false;
  bool list_formats = false;

  std::size_t tokens_to_calibrate_on() const {
    return calibration_tokens.value_or(profile == "fast" ? 32768 : 131072);
  }

  void add_to(CLI::App& app) {
    app.add_option("--model", model, "Folder of a Hugging Face GPT-2 (bundled wiki-gpt2)");
    app.add_option("--calibration", calibration, "Text to calibrate on (bundled)");
    app.add_option("--calibration-tokens", calibration_tokens,
                   "Most tokens to calibrate on, in evenly spaced windows (131072; 32768 for "
                   "--profile fast)")
        ->check(CLI::PositiveNumber);
    app.add_option("--calibration-memory", calibration_memory,
                   "Most memory for moments, in MB (half of the machine's); what exceeds it is "
                   "gathered in several passes over the text")
        ->transform(whole_number())
        ->check(CLI::PositiveNumber);
    text.add_to(app);
    auto* bits_flag = app.add_option("--bits", bits,
                                     "Most bits per weight of the matrices, all in; several with "
                                     "commas, or grid (3.0)")
                          ->delimiter(',');
    auto* bytes_flag = app.add_option("--bytes", bytes, "Most bytes of the file")
                           ->transform(whole_number())
                           ->check(CLI::PositiveNumber)
                           ->excludes(bits_flag);
    auto* compression_flag =
        app.add_option("--compression", compression, "Least compression of the file, in percent")
            ->check(CLI::Range(0.0, 100.0))
            ->excludes(bits_flag)
            ->excludes(bytes_flag);
    auto* plan_flag = app.add_option("--plan", plan, "Pack this plan (JSON) instead of a new one");
    for (CLI::Option* flag : {bits_flag, bytes_flag, compression_flag}) plan_flag->excludes(flag);
    app.add_option("--fix", fixed,
                   "REGEX=FORMAT: the only format of the matrices in whose names REGEX is found "
                   "(repeatable)");
    app.add_option("--forbid", forbidden, "REGEX=FORMAT: no format of these matrices (repeatable)");
    app.add_option("--min-bits", min_bits, "Fewest bits per weight of a format");
    app.add_option("--max-bits", max_bits, "Most bits per weight of a format");
    app.add_option("--profile", profile,
                   "default: the formats that lose least, finished; fast: those that are decoded "
                   "fastest")
        ->check(CLI::IsMember({"default", "fast"}))
        ->capture_default_str();
    app.add_option("--without", without,
                   "Piece of the pipeline to leave out, to measure what it brings (repeatable): "
                   "feedback, gradients, windows, rotation, measured, cells, finish");
    app.add_option("--method", method, "How to quantize")
        ->check(CLI::IsMember(
            {"nash_swarm", "rtn", "gptq", "awq", "hqq", "paper_uniform", "paper_nash"}))
        ->capture_default_str();
    app.add_flag("--compare", compare, "Run nash_swarm and every baseline on the same text");
    app.add_option("--paper-table", paper_table,
                   "Table of the paper's setting instead, for checkpoint folders (bundled "
                   "wiki-gpt2): lm_head only, padded texts; uses --text, --samples, --calibration, "
                   "--calibration-tokens, --seed, --threads, --report")
        ->expected(0, -1);
    app.add_option("--scope", scope, "Which matrices to quantize")
        ->check(CLI::IsMember({"all", "blocks", "lm_head"}))
        ->capture_default_str();
    app.add_option("--seed", seed, "Seed of the rotations")
        ->transform(whole_number())
        ->capture_default_str();
    app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
    app.add_option("--out", out, "Packed file to write (MODEL.nash_swarm.safetensors)");
    app.add_option("--work", work,
                   "Folder of what is done, for other budgets or to go on after an interruption "
                   "(OUT.work, removed at the end)");
    app.add_option("--plan-out", plan_out, "Plan to write (JSON), to be looked at and edited");
    app.add_option("--picture", picture, "Picture of the plan to write (SVG)");
    app.add_option("--report", report, "JSON report to write");
    auto* chart_flag =
        app.add_option("--chart", chart, "Chart of KLD over bits of all rows to write (SVG)");
    app.add_flag("--dry-run", dry_run, "Print the sizes without quantizing")->excludes(chart_flag);
    app.add_flag("--list-formats", list_formats, "Print the formats and stop");
  }
};

double parse_bits(const std::string& word) {
  std::size_t used = 0;
  double value = 0.0;
  try {
    value = std::stod(word, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != word.size() || !(value > 0.0) || value > 64.0) {
    throw nash_swarm::Error("--bits", "\"" + word + "\" is no positive number of bits",
                            "give numbers such as 3 or 2.5, or grid");
  }
  return value;
}

/// The sizes that the flags ask for; empty if they say nothing.
std::vector<gpt2::SizeLimit> size_limits(const Options& options, std::uint64_t float32_bytes) {
  std::vector<gpt2::SizeLimit> limits;
  const bool grid = options.bits.size() == 1 && options.bits[0] == "grid";
  if (grid) {
    for (const double bits : {2.0, 2.5, 3.0, 3.5, 4.0, 4.5}) limits.push_back({bits, {}});
  } else {
    for (const std::string& word : options.bits) limits.push_back({parse_bits(word), {}});
  }
  if (options.bytes) limits.push_back({{}, options.bytes});
  if (options.compression) {
    const double kept = (1.0 - *options.compression / 100.0) * static_cast<double>(float32_bytes);
    limits.push_back({{}, static_cast<std::uint64_t>(kept)});
  }
  return limits;
}

/// "REGEX=FORMAT", cut at the last "=".
std::vector<nash_swarm::FormatRule> parse_rules(const std::string& flag,
                                                const std::vector<std::string>& words) {
  std::vector<nash_swarm::FormatRule> rules;
  for (const std::string& word : words) {
    const std::size_t cut = word.rfind('=');
    if (cut == std::string::npos || cut == 0) {
      throw nash_swarm::Error(flag, "\"" + word + "\" is not REGEX=FORMAT",
                              "give for instance 'mlp=b4_l4'");
    }
    rules.push_back({word.substr(0, cut), word.substr(cut + 1)});
  }
  return rules;
}

nash_swarm::Rules parse_rules(const Options& options) {
  return {parse_rules("--fix", options.fixed),
          parse_rules("--forbid", options.forbidden),
          options.min_bits,
          options.max_bits,
          {},
          gpt2::families_of_profile(options.profile)};
}

void write_text(const std::string& text, const std::string& target) {
  nash_swarm::AtomicFile file(target);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

void list_formats() {
  std::printf("%-8s %8s %22s\n", "format", "bits", "signal to noise (dB)");
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    std::printf("%-8s %8.3f %22.2f\n", std::string(format.name).c_str(), format.bits_per_weight(),
                -10.0 * std::log10(format.gaussian_noise) + 0.0);
  }
}

class Job {
 public:
  Job(const CLI::App& app, const Options& options)
      : app_(app),
        options_(options),
        scope_(gpt2::parse_scope(options.scope)),
        pool_(options.threads),
        checkpoint_(options.model),
        tokenizer_(gpt2::Tokenizer::from_text(checkpoint_.vocabulary_text(),
                                              checkpoint_.merges_text(),
                                              (checkpoint_.folder() / "vocab.json").string(),
                                              (checkpoint_.folder() / "merges.txt").string())),
        limits_(size_limits(options, checkpoint_.float32_bytes())) {}

  void run() {
    const bool packs = options_.compare || options_.method == "nash_swarm";
    check_inputs(packs);
    if (calibrates()) calibrate();
    if (packs) add_packed();
    if (options_.compare || !packs) add_baselines();
    if (!options_.dry_run) evaluate();
    std::fputs(gpt2::format_report(report_).c_str(), stdout);
    if (packs && !options_.dry_run) std::printf("\npacked model: %s\n", out_.string().c_str());
    if (!options_.report.empty()) gpt2::write_report(report_, options_.report);
    if (!options_.chart.empty()) {
      write_text(gpt2::rate_chart(report_), options_.chart);
    }
    if (!options_.plan_out.empty()) {
      write_text(nash_swarm::model_plan_text(plans_.front()), options_.plan_out);
    }
    if (!options_.picture.empty()) {
      write_text(nash_swarm::plan_picture(plans_.front().matrices()), options_.picture);
    }
    if (work_ && options_.work.empty()) work_->remove();
  }

 private:
  bool calibrates() const {
    return options_.compare || options_.method == "nash_swarm" || options_.method == "gptq" ||
           options_.method == "awq";
  }

  bool finishes() const {
    return gpt2::pieces_without(options_.without).finish && options_.profile == "default";
  }

  /// Everything that can be wrong is found here, before any work.
  void check_inputs(bool packs) {
    tokenizer_.check_fits(checkpoint_.config().vocab_size);
    text_ = options_.text.read(app_, tokenizer_, checkpoint_.config().n_ctx);
    if (!options_.out.empty() && !packs) {
      throw nash_swarm::Error("--out", "baselines are not stored", "use --method nash_swarm");
    }
    const bool plans = !options_.plan.empty() || !options_.plan_out.empty() ||
                       !options_.picture.empty() || !options_.fixed.empty() ||
                       !options_.forbidden.empty() || options_.min_bits || options_.max_bits ||
                       !options_.without.empty();
    if (plans && !packs) {
      throw nash_swarm::Error("--method", "baselines have no plan and no rules",
                              "use --method nash_swarm");
    }
    if (packs) check_plan();
    if (calibrates()) {
      if (!packs) quantizer_.emplace(checkpoint_, scope_, options_.seed, pool_);
      const std::string calibration = gpt2::read_text_file(options_.calibration);
      const gpt2::Encoded encoded = tokenizer_.encode(calibration);
      if (encoded.ids.size() < 2) {
        throw nash_swarm::Error(options_.calibration, "shorter than two tokens",
                                "give a longer text");
      }
      calibration_ = gpt2::calibration_windows(encoded.ids, checkpoint_.config().n_ctx,
                                               options_.tokens_to_calibrate_on());
      held_out_ = gpt2::held_out_windows(encoded.ids, checkpoint_.config().n_ctx,
                                         options_.tokens_to_calibrate_on(),
                                         options_.tokens_to_calibrate_on() / 4);
    }
    const std::filesystem::path folder = std::filesystem::absolute(options_.model);
    const std::string name =
        (folder.has_filename() ? folder : folder.parent_path()).filename().string();
    out_ = options_.out.empty() ? name + ".nash_swarm.safetensors" : options_.out;
    if (packs && !options_.dry_run) nash_swarm::AtomicFile probe(out_);
    for (const std::string& target : {options_.report, options_.plan_out, options_.picture, options_.chart}) {
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

  /// The rules, the sizes and the plan that the flags ask for.
  void check_plan() {
    quantizer_.emplace(checkpoint_, scope_, options_.seed, pool_, parse_rules(options_),
                       gpt2::pieces_without(options_.without));
    if (!options_.plan.empty()) {
      stored_plan_ = nash_swarm::read_model_plan(options_.plan, gpt2::read_text_file(options_.plan),
                                                 quantizer_->matrices());
      packed_limits_ = {{}};
    } else {
      packed_limits_ = limits_.empty() ? std::vector<gpt2::SizeLimit>{{3.0, {}}} : limits_;
      for (const auto& limit : packed_limits_) gpt2::check_limit(*quantizer_, limit);
    }
  }

  /// The plan of the file, certified anew; a warning on stderr if that is not what the file states.
  nash_swarm::Plan stored_plan() const {
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

  /// What is done is kept in a folder until the job is.
  void open_work_folder() {
    work_.emplace(options_.work.empty() ? out_.string() + ".work" : options_.work);
    if (work_->resumes()) std::fprintf(stderr, "going on from %s\n", work_->path().c_str());
    gpt2::CalibrationStore store{&*work_, gpt2::half_of_memory()};
    if (options_.calibration_memory) {
      constexpr std::uint64_t megabyte = 1'000'000;
      store.memory = std::min(*options_.calibration_memory, UINT64_MAX / megabyte) * megabyte;
    }
    quantizer_->use(store);
  }

  void calibrate() {
    open_work_folder();
    progress_.stage("calibrating", quantizer_->weights());
    quantizer_->calibrate(calibration_,
                          [this](std::size_t weights) { progress_.advance(weights); });
    if (!packed_limits_.empty() && !options_.dry_run) {
      progress_.stage("measuring plans", 1);
      quantizer_->fit_prediction(held_out_);
    }
    progress_.finish();
  }

  void add_packed() {
    const gpt2::Quantizer& quantizer = *quantizer_;
    const std::vector<gpt2::SizeLimit>& limits = packed_limits_;
    std::vector<nash_swarm::Plan>& plans = plans_;
    for (const auto& limit : limits) {
      plans.push_back(stored_plan_ ? stored_plan() : gpt2::plan_within(quantizer, limit));
    }
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (options_.dry_run) {
        report_.rows.push_back(gpt2::planned_row(quantizer, scope_, plans[i], limits[i]));
        continue;
      }
      // The first budget is what --out holds; the others are stored only to be read back.
      std::filesystem::path target = out_;
      if (i != 0) target += "." + std::to_string(i) + ".tmp";
      models_.push_back(gpt2::pack_and_read_back(quantizer, scope_, plans[i], limits[i], target,
                                                 {i == 0, finishes()}, progress_));
    }
  }

  void add_baselines() {
    const auto add = [&](const std::string& method, const std::vector<gpt2::Baseline>& rates) {
      if (!options_.compare && options_.method != method) return;
      std::vector<gpt2::QuantizedModel> models;
      for (const gpt2::Baseline& rate : rates) {
        models.push_back(gpt2::run_baseline(checkpoint_, scope_, rate, !options_.dry_run, pool_));
      }
      // A comparison shows every baseline at its natural rates, whatever the budget.
      const bool limited = !options_.compare && !limits_.empty();
      const gpt2::SizeLimit limit = limited ? limits_.front() : gpt2::SizeLimit{};
      for (auto& model : gpt2::baselines_within(std::move(models), limit)) {
        models_.push_back(std::move(model));
      }
    };
    progress_.stage("baselines", 1);
    const gpt2::InputMoments moments = [this](const std::string& matrix) {
      return gpt2::dense(quantizer_->moments(matrix)->inputs);
    };
    std::vector<gpt2::Baseline> rtn, gptq, awq, hqq;  // ascending in size
    for (const unsigned bits : {2u, 3u, 4u}) {
      for (const std::size_t group : {128u, 64u}) {
        rtn.push_back(gpt2::rtn(bits, group));
        gptq.push_back(gpt2::gptq(bits, group, moments));
        awq.push_back(gpt2::awq(bits, group, moments));
        hqq.push_back(gpt2::hqq(bits, group));
      }
    }
    add("rtn", rtn);
    add("gptq", gptq);
    add("awq", awq);
    add("hqq", hqq);
    add("paper_uniform", {gpt2::paper_uniform()});
    add("paper_nash", {gpt2::paper_nash()});
    progress_.finish();
    if (!options_.dry_run) return;
    for (const auto& model : models_) report_.rows.push_back(model.row);
  }

  void evaluate() {
    const gpt2::Model float_model = gpt2::make_float_model(checkpoint_, false);
    std::vector<const gpt2::Model*> models{&float_model};
    for (const auto& quantized : models_) models.push_back(quantized.model.get());
    progress_.stage("evaluating", models.size() * text_.scored_tokens);
    const std::vector<gpt2::Evaluation> evaluations = gpt2::evaluate(
        models, true, text_, pool_, [this](std::size_t tokens) { progress_.advance(tokens); });
    progress_.finish();
    report_.text = std::move(text_);
    report_.float_model = evaluations.front();
    for (std::size_t i = 0; i < models_.size(); ++i) {
      models_[i].row.evaluation = evaluations[i + 1];
      models_[i].row.peak_memory_bytes = gpt2::peak_memory_bytes();
      report_.rows.push_back(models_[i].row);
    }
  }

  const CLI::App& app_;
  const Options& options_;
  gpt2::Scope scope_;
  nash_swarm::ThreadPool pool_;
  gpt2::Checkpoint checkpoint_;
  gpt2::Tokenizer tokenizer_;
  std::vector<gpt2::SizeLimit> limits_;
  std::vector<gpt2::SizeLimit> packed_limits_;  // those of the plans
  std::optional<gpt2::WorkFolder> work_;
  std::optional<gpt2::Quantizer> quantizer_;
  std::optional<nash_swarm::StoredModelPlan> stored_plan_;
  std::vector<nash_swarm::Plan> plans_;
  std::vector<std::int32_t> calibration_;
  std::vector<std::int32_t> held_out_;  // for predictions
  gpt2::EvaluationText text_;
  std::filesystem::path out_;
  gpt2::Progress progress_;
  std::vector<gpt2::QuantizedModel> models_;
  gpt2::Report report_;
};

void print_paper_tables(const Options& options) {
  if (!options.report.empty()) nash_swarm::AtomicFile probe(options.report);
  std::vector<std::string> folders = options.paper_table;
  std::erase(folders, "");
  if (folders.empty()) folders.push_back(options.model);
  nash_swarm::ThreadPool pool(options.threads);
  gpt2::Progress progress;
  gpt2::PaperSetting setting;
  setting.text = options.text.file;
  setting.calibration = options.calibration;
  setting.samples = options.text.samples;
  setting.calibration_tokens = options.tokens_to_calibrate_on();
  setting.seed = options.seed;
  const std::vector<gpt2::PaperTable> tables =
      gpt2::paper_tables(folders, setting, pool, progress);
  std::fputs(gpt2::format_paper_tables(tables).c_str(), stdout);
  if (!options.report.empty()) gpt2::write_paper_tables(tables, options.report);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Quantizes a GPT-2 and compares it with the float model on text", "quantize_gpt2");
  Options options;
  options.add_to(app);
  return run_program(app, argc, argv, [&] {
    if (options.list_formats) {
      list_formats();
    } else if (app.count("--paper-table") != 0) {
      print_paper_tables(options);
    } else {
      Job(app, options).run();
    }
  });
}
