#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "transformer/lone_errors.hpp"
#include "transformer/matrix_packer.hpp"
#include "transformer/work_folder.hpp"

namespace transformer {

/// What is kept of the errors of matrices that are quantized alone.
struct LoneMeasurements {
  std::vector<double> losses;         ///< [matrices] as in LoneErrors
  std::vector<double> coarse_losses;  ///< [matrices]
  nash_swarm::MeasuredHeadings headings;
};

/// Runs the model with each matrix quantized alone (lone_errors.hpp), unless the folder has what
/// that would give.
/// @param tokens whole windows of `window` tokens, at least one
/// @param folder nullptr for none
LoneMeasurements measured_alone(const Checkpoint& checkpoint, std::span<const LonePlans> plans,
                                std::span<const std::int32_t> tokens, std::size_t window,
                                const MatrixPacker& packer, const WorkFolder* folder,
                                nash_swarm::ThreadPool& pool);

}  // namespace transformer
