#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/matrix_plan.hpp>

#include "gpt2/checkpoint.hpp"

namespace gpt2 {

/// What the model loses, as KLD in nats per token, for each matrix quantized alone.
/// @param tokens whole windows of the model's context, at least one
/// @param pack packs one of `matrices`
/// Takes the float32 bytes of eight matrices.
std::vector<double> lone_losses(
    const Checkpoint& checkpoint, std::span<const nash_swarm::MatrixPlan> matrices,
    std::span<const std::int32_t> tokens, nash_swarm::ThreadPool& pool,
    const std::function<nash_swarm::PackedMatrix(const nash_swarm::MatrixPlan&)>& pack);

}  // namespace gpt2
