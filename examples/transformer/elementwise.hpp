#pragma once

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <span>

namespace transformer {

/// The sums between the matrices; each works on the rows of a batch [tokens, features] in parallel.

/// y += bias for every row; nothing for an empty bias.
void add_bias(nash_swarm::TensorView<float, 2> y, std::span<const float> bias,
              nash_swarm::ThreadPool& pool);

/// hidden += update + bias for every row; an empty bias is none.
void add_residual(nash_swarm::TensorView<float, 2> hidden,
                  nash_swarm::TensorView<const float, 2> update, std::span<const float> bias,
                  nash_swarm::ThreadPool& pool);

}  // namespace transformer
