#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <nash_swarm/calibration/heading.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/matrix_plan.hpp>

#include "transformer/checkpoint.hpp"

namespace transformer {

/// A matrix as it is to be packed alone, in several ways.
struct LonePlans {
  std::array<nash_swarm::MatrixPlan, 2> seeds;  ///< under two seeds of its rotation
  nash_swarm::MatrixPlan coarse;                ///< with larger errors
};

/// What the model suffers from each matrix quantized alone.
struct LoneErrors {
  std::vector<double> losses;            ///< [matrices] KLD in nats per token, mean of both seeds
  std::vector<double> coarse_losses;     ///< [matrices] the same of the coarse plans
  nash_swarm::HeadingProducts products;  ///< how the errors under both seeds move the logits
};

/// Runs the model with each matrix quantized alone, in each of its ways.
/// @param tokens whole windows of `window` tokens, at least one
/// @param pack packs one of `matrices`
/// Takes 12·n_embd bytes for every token and matrix, and up to 64 MB for logits.
LoneErrors lone_errors(
    const Checkpoint& checkpoint, std::span<const LonePlans> matrices,
    std::span<const std::int32_t> tokens, std::size_t window, nash_swarm::ThreadPool& pool,
    const std::function<nash_swarm::PackedMatrix(const nash_swarm::MatrixPlan&)>& pack);

}  // namespace transformer
