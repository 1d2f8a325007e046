#pragma once

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/model/plan.hpp>

#if NASH_SWARM_DEFINITIONS
#include <nash_swarm/rounding/nearest.hpp>
#endif

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Packs one matrix as the plan says.
/// @param calibration that of the plan; input moments that have seen nothing for rounding every
/// weight to its nearest code
/// @param weights [out, in], the matrix that was added to the model under the plan's name
/// @throws Error for NaN, infinity or a weight beyond 2^118 (named by index), moments that cannot
/// be (see ErrorFeedback), or a shape that does not fit
NASH_SWARM_FUNCTION PackedMatrix pack(TensorView<const float, 2> weights, const MatrixPlan& plan,
                                      const MatrixCalibration& calibration, ExecutorView executor);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION PackedMatrix pack(TensorView<const float, 2> weights, const MatrixPlan& plan,
                                        const MatrixCalibration& calibration,
                                        ExecutorView executor) {
  if (!plan.basis) throw Error(plan.name, "a plan without an input basis", "take one of allocate");
  const PanelFeedback feedback(plan.name, calibration, *plan.basis, weights.extent(0), executor,
                               plan.order);
  return round_matrix(plan.name, weights, plan.basis, plan.cells, feedback, executor, plan.order);
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
