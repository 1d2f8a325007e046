#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/matrix_plan.hpp>

#include "gpt2/checkpoint.hpp"

namespace gpt2 {

/// Matrices that `lone_losses` measures in one run through the text.
inline constexpr std::size_t matrices_at_once = 8;

/// What the model loses, as KLD in nats per token, for each matrix quantized alone.
/// @param tokens whole windows of `window` tokens, at least one
/// @param pack packs one of `matrices`
/// Takes the float32 bytes of `matrices_at_once` matrices.
std::vector<double> lone_losses(
    const Checkpoint& checkpoint, std::span<const nash_swarm::MatrixPlan> matrices,
    std::span<const std::int32_t> tokens, std::size_t window, nash_swarm::ThreadPool& pool,
    const std::function<nash_swarm::PackedMatrix(const nash_swarm::MatrixPlan&)>& pack);

}  // namespace gpt2
