#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <CLI/CLI.hpp>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/model_plan_file.hpp>

#include "quantization/options.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/evaluation_text.hpp"
#include "transformer/progress.hpp"
#include "transformer/quantizer.hpp"
#include "transformer/report.hpp"
#include "transformer/rows.hpp"
#include "transformer/tokenizer.hpp"
#include "transformer/work_folder.hpp"

namespace quantization {

/// Quantizes a model as the flags say, evaluates the result and reports it.
class Job {
 public:
  /// Opens the model.
  /// @param app has parsed `options`; both outlive the job
  /// @throws nash_swarm::Error for a wrong model or flag
  Job(const CLI::App& app, const Options& options);

  /// Does the job; everything that can be wrong is found before any work.
  /// @throws nash_swarm::Error for wrong input
  void run();

 private:
  /// Everything that can be wrong is found here, before any work.
  void check_inputs(bool packs);
  /// Refuses flags that such a plan cannot heed.
  void check_plan_for_llama_cpp();
  /// The rules, the sizes and the plan that the flags ask for.
  void check_plan();
  /// The plan of the file, certified anew; a warning on stderr if that is not what the file states.
  nash_swarm::Plan stored_plan() const;
  /// What is done is kept in a folder until the job is.
  void open_work_folder();
  void calibrate();
  void add_packed();
  void add_baselines();
  void plan_for_llama_cpp();
  void evaluate();

  const CLI::App& app_;
  const Options& options_;
  transformer::Scope scope_;
  nash_swarm::ThreadPool pool_;
  transformer::Checkpoint checkpoint_;
  transformer::Tokenizer tokenizer_;
  std::vector<transformer::SizeLimit> limits_;
  std::vector<transformer::SizeLimit> packed_limits_;  // those of the plans
  std::optional<transformer::WorkFolder> work_;
  std::optional<transformer::Quantizer> quantizer_;
  std::optional<nash_swarm::StoredModelPlan> stored_plan_;
  std::vector<nash_swarm::Plan> plans_;
  std::vector<std::int32_t> calibration_;
  std::vector<std::int32_t> held_out_;  // for predictions
  std::vector<transformer::EvaluationText> texts_;
  std::filesystem::path out_;
  transformer::Progress progress_;
  std::vector<transformer::QuantizedModel> models_;
  transformer::Report report_;
};

}  // namespace quantization
