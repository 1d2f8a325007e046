#pragma once

#include <string>

#include <nash_swarm/model/plan.hpp>
#include <nash_swarm/rounding/nearest.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Packs one matrix as the plan says.
/// @param weights [out, in], the matrix that was added to the model under the plan's name
/// @throws Error for NaN or infinity in the weights (named by index), or a shape that does not fit
template <Executor E>
PackedMatrix pack(TensorView<const float, 2> weights, const MatrixPlan& plan, E& executor) {
  return round_to_nearest(plan.name, weights, plan.basis, plan.cells, executor);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
