#pragma once

#include <vector>

#include <nash_swarm/model/allocate.hpp>

namespace transformer {

/// Decides one format for every matrix: the game of `nash_swarm::allocate` with matrices in place
/// of cells as its players, about which the certificate is.
/// @param matrices those of the model with their bases, in its order; their cells do not matter
/// @throws nash_swarm::Error if the budget is below the smallest possible, or the rules cannot be
/// kept
nash_swarm::Plan allocate_whole_matrices(const nash_swarm::Model& model,
                                         const std::vector<nash_swarm::MatrixPlan>& matrices,
                                         const nash_swarm::Budget& budget,
                                         const nash_swarm::Rules& rules);

}  // namespace transformer
