#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/io/atomic_file.hpp>

#include "command_line.hpp"
#include "rank_correlation.hpp"
#include "text_options.hpp"
#include "transformer/calibration_text.hpp"
#include "transformer/evaluation.hpp"
#include "transformer/rows.hpp"
#include "transformer/tokenizer.hpp"

/// Packs random plans of a GPT-2 and compares the loss that each predicts with the KLD that is
/// measured on text which the calibration has not seen.

namespace {

struct Options {
  std::string model = NASH_SWARM_EXAMPLE_DATA "/wiki-gpt2";
  std::string calibration = NASH_SWARM_EXAMPLE_DATA "/calibration.txt";
  std::size_t calibration_tokens = 32768;
  TextOptions text;
  std::string profile = "default";
  std::size_t plans = 50;
  std::uint64_t seed = 0;
  std::size_t threads = 0;

  void add_to(CLI::App& app) {
    app.add_option("--model", model, "Folder of a Hugging Face GPT-2 (bundled wiki-gpt2)");
    app.add_option("--calibration", calibration, "Text to calibrate on (bundled)");
    app.add_option("--calibration-tokens", calibration_tokens,
                   "Most tokens to calibrate on, in evenly spaced windows")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    text.max_tokens = 4096;
    text.add_to(app);
    app.add_option("--profile", profile, "Formats to plan with, as in quantize_gpt2")
        ->check(CLI::IsMember({"default", "fast"}))
        ->capture_default_str();
    app.add_option("--plans", plans, "Number of random plans")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--seed", seed, "Seed of the random plans")
        ->transform(whole_number())
        ->capture_default_str();
    app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
  }
};

/// What became of one plan.
struct Outcome {
  double bits = 0.0;
  double best = 0.0;  ///< what the best plan of as many bytes predicts
  double predicted = 0.0;
  double measured = 0.0;
  double ratio() const noexcept { return measured / predicted; }
};

/// A plan of a random size from 2 to 4.5 bits per weight, for a game in which the loss of every
/// matrix is off by a random factor (σ = 1/2 in its logarithm): good at its size, never the best.
nash_swarm::Plan random_plan(const transformer::Quantizer& quantizer,
                             const nash_swarm::Rules& rules, std::mt19937_64& engine) {
  std::uniform_real_distribution<double> bits(2.0, 4.5);
  std::normal_distribution<double> deviation(0.0, 0.5);
  const nash_swarm::Budget budget = nash_swarm::Budget::bits(bits(engine));
  nash_swarm::Model distorted = quantizer.model();
  for (const nash_swarm::MatrixPlan& matrix : quantizer.matrices()) {
    distorted.correct(matrix.name, std::exp(deviation(engine)));
  }
  const nash_swarm::Plan plan = nash_swarm::allocate(distorted, budget, rules);
  std::vector<nash_swarm::CellMap> cells;
  for (const nash_swarm::MatrixPlan& matrix : plan.matrices()) cells.push_back(matrix.cells);
  return quantizer.plan_of(cells, plan.certificate().budget, plan.certificate().price);
}

/// Packs plans a few at a time and evaluates them beside the float model.
class Check {
 public:
  Check(const CLI::App& app, const Options& options)
      : pool_(options.threads),
        checkpoint_(options.model),
        rules_{.windows = transformer::families_of_profile(options.profile)},
        quantizer_(checkpoint_, transformer::Scope::all, options.seed, pool_, rules_),
        engine_(options.seed) {
    const transformer::Tokenizer tokenizer = checkpoint_.make_tokenizer();
    options.text.only_file();
    text_ = options.text.read_all(app, tokenizer, checkpoint_.config().n_ctx).front();
    const std::vector<std::int32_t> tokens =
        transformer::calibration_tokens(tokenizer, options.calibration);
    const std::size_t context = checkpoint_.config().n_ctx;
    progress_.stage("calibrating", quantizer_.weights());
    quantizer_.calibrate(
        transformer::calibration_windows(tokens, context, options.calibration_tokens),
        [this](std::size_t weights) { progress_.advance(weights); });
    progress_.stage("measuring plans", 1);
    quantizer_.fit_prediction(transformer::held_out_windows(
        tokens, context, options.calibration_tokens, options.calibration_tokens / 4));
    progress_.finish();
  }

  std::vector<Outcome> run(std::size_t plans) {
    constexpr std::size_t at_once = 8;
    std::vector<Outcome> outcomes;
    while (outcomes.size() < plans) add_outcomes(std::min(at_once, plans - outcomes.size()), outcomes);
    return outcomes;
  }

  const transformer::EvaluationText& text() const noexcept { return text_; }

 private:
  void add_outcomes(std::size_t count, std::vector<Outcome>& outcomes) {
    const transformer::Model reference = transformer::make_float_model(checkpoint_, false);
    std::vector<const transformer::Model*> models{&reference};
    std::vector<transformer::QuantizedModel> packed;
    for (std::size_t i = 0; i < count; ++i) {
      const nash_swarm::Plan plan = random_plan(quantizer_, rules_, engine_);
      packed.push_back(transformer::pack_and_read_back(quantizer_, transformer::Scope::all, plan,
                                                       {}, target_, {false, false}, progress_));
      models.push_back(packed.back().model.get());
    }
    const std::vector<transformer::Evaluation> evaluations =
        transformer::evaluate(models, true, text_, pool_);
    for (std::size_t i = 0; i < count; ++i) {
      const transformer::ReportRow& row = packed[i].row;
      const nash_swarm::Budget bytes = nash_swarm::Budget::bytes(row.certificate->bytes);
      outcomes.push_back({row.bits_per_weight(),
                          quantizer_.predicted_kld(quantizer_.plan(bytes)),
                          row.predicted_kld.value(), evaluations[i + 1].kld.value()});
    }
  }

  nash_swarm::ThreadPool pool_;
  transformer::Checkpoint checkpoint_;
  nash_swarm::Rules rules_;
  transformer::Quantizer quantizer_;
  std::mt19937_64 engine_;
  transformer::EvaluationText text_;
  transformer::Progress progress_;
  std::filesystem::path target_ = "check_predictions.tmp";
};

/// Mean and range of the ratios of the plans from `low` to `high` bits, unless there are none.
void print_ratios(const std::vector<Outcome>& outcomes, double low, double high) {
  std::vector<double> ratios;
  for (const Outcome& outcome : outcomes) {
    if (outcome.bits >= low && outcome.bits < high) ratios.push_back(outcome.ratio());
  }
  if (ratios.empty()) return;
  double sum = 0.0;
  for (const double ratio : ratios) sum += ratio;
  std::printf("%.1f to %.1f bits: %3zu plans, measured / predicted %.3f (%.3f to %.3f)\n", low,
              high, ratios.size(), sum / static_cast<double>(ratios.size()),
              *std::min_element(ratios.begin(), ratios.end()),
              *std::max_element(ratios.begin(), ratios.end()));
}

void print(std::vector<Outcome> outcomes) {
  std::sort(outcomes.begin(), outcomes.end(),
            [](const Outcome& a, const Outcome& b) { return a.bits < b.bits; });
  std::printf("%8s %10s %10s %10s %7s\n", "bits", "best", "predicted", "measured", "ratio");
  std::vector<double> predicted, measured, predicted_excess, measured_excess;
  for (const Outcome& outcome : outcomes) {
    std::printf("%8.3f %10.6f %10.6f %10.6f %7.3f\n", outcome.bits, outcome.best,
                outcome.predicted, outcome.measured, outcome.ratio());
    predicted.push_back(outcome.predicted);
    measured.push_back(outcome.measured);
    predicted_excess.push_back(outcome.predicted / outcome.best);
    measured_excess.push_back(outcome.measured / outcome.best);
  }
  std::printf("\n");
  for (const double low : {2.0, 2.5, 3.0, 3.5, 4.0}) print_ratios(outcomes, low, low + 0.5);
  print_ratios(outcomes, 0.0, 64.0);
  std::printf("rank correlation %.4f; of the excess over the best plan of as many bytes %.4f\n",
              rank_correlation(predicted, measured),
              rank_correlation(predicted_excess, measured_excess));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Compares predicted and measured KLD of random plans of a GPT-2",
               "check_predictions");
  Options options;
  options.add_to(app);
  return run_program(app, argc, argv, [&] {
    Check check(app, options);
    const std::vector<Outcome> outcomes = check.run(options.plans);
    std::printf("%s: %zu tokens\n", check.text().file.c_str(), check.text().scored_tokens);
    print(outcomes);
  });
}
