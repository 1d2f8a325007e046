#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <nash_swarm/calibration/heading.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/matrix_plan.hpp>

#include "gpt2/checkpoint.hpp"

namespace gpt2 {

/// A matrix as it is to be packed, under two seeds of its rotation.
using SeededPlans = std::array<nash_swarm::MatrixPlan, 2>;

/// What the model suffers from each matrix quantized alone.
struct LoneErrors {
  std::vector<double> losses;            ///< [matrices] KLD in nats per token, mean of both seeds
  nash_swarm::HeadingProducts products;  ///< how these errors move the logits
};

/// Runs the model with each matrix quantized alone, under each of its seeds.
/// @param tokens whole windows of the model's context, at least one
/// @param pack packs one of `matrices`
/// Takes 4·n_embd bytes for every token, matrix and seed, and up to 64 MB for logits.
LoneErrors lone_errors(
    const Checkpoint& checkpoint, std::span<const SeededPlans> matrices,
    std::span<const std::int32_t> tokens, nash_swarm::ThreadPool& pool,
    const std::function<nash_swarm::PackedMatrix(const nash_swarm::MatrixPlan&)>& pack);

}  // namespace gpt2
