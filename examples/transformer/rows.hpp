#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "transformer/baselines.hpp"
#include "transformer/calibration_text.hpp"
#include "transformer/model.hpp"
#include "transformer/progress.hpp"
#include "transformer/quantizer.hpp"
#include "transformer/report.hpp"

namespace transformer {

/// A line of the report with the model that it is about; no model in a dry run.
struct QuantizedModel {
  ReportRow row;
  std::unique_ptr<Model> model;
};

/// How small a quantized model has to be: by bits per weight of its matrices, or by its whole file.
struct SizeLimit {
  std::optional<double> bits;
  std::optional<std::uint64_t> file_bytes;
};

/// Refuses a limit that no plan meets under the quantizer's rules; works before the calibration.
/// @throws nash_swarm::Error that names the smallest size
void check_limit(const Quantizer& quantizer, const SizeLimit& limit);

/// The plan that meets the limit, and its sizes; a warning on stderr where the limit is above the
/// largest size.
nash_swarm::Plan plan_within(const Quantizer& quantizer, const SizeLimit& limit);

/// The row of a plan; sizes are exact before anything is packed.
ReportRow planned_row(const Quantizer& quantizer, Scope scope, const nash_swarm::Plan& plan,
                      const SizeLimit& limit);

/// How a packed file is made.
struct PackOptions {
  bool keep = true;     ///< false to remove the file from its folder once it is mapped
  bool finish = false;  ///< true to tune what stays float (finish.hpp)
};

/// Writes the packed file, reads it back and takes the sizes from it; what the finish brought is
/// printed on stderr.
QuantizedModel pack_and_read_back(const Quantizer& quantizer, Scope scope,
                                  const nash_swarm::Plan& plan, const SizeLimit& limit,
                                  const std::filesystem::path& target, PackOptions options,
                                  Progress& progress);

/// Runs a baseline over the matrices of a scope; its sizes are computed.
/// @param with_model false to leave the model out
QuantizedModel run_baseline(const Checkpoint& checkpoint, Scope scope, const Baseline& baseline,
                            bool with_model, nash_swarm::ThreadPool& pool);

/// Of the rates of a method, ascending in size, those that are asked for: all without limits, else
/// the largest within each limit, none of them twice.
/// @throws nash_swarm::Error if even the smallest is beyond a limit
std::vector<QuantizedModel> baselines_within(std::vector<QuantizedModel> rates,
                                             std::span<const SizeLimit> limits);

}  // namespace transformer
