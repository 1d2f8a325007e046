#pragma once

#include <cstddef>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/config.hpp"

namespace transformer {

/// Columns that an activation reads for every one that it writes: gate and up, or one.
constexpr std::size_t inputs_of(Activation kind) noexcept {
  return kind == Activation::gated_silu ? 2 : 1;
}

/// Replaces the first `n` columns of x by the activation, in parallel over rows.
///   gelu_tanh   ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016, section 2)
///   relu        max(x, 0)
///   gated_silu  g/(1 + e^−g) · u, of columns g = x[0, n) and u = x[n, 2n)
/// @param x [tokens, inputs_of(kind) · n], rows contiguous
void activate(Activation kind, nash_swarm::TensorView<float, 2> x, nash_swarm::ThreadPool& pool);

/// Replaces the gradient by the result of `activate`, in the first n columns of dy, by that by its
/// input, in all columns.
/// @param x the input as it was before
/// @param dy of the shape of x
void activation_gradient(Activation kind, nash_swarm::TensorView<const float, 2> x,
                         nash_swarm::TensorView<float, 2> dy, nash_swarm::ThreadPool& pool);

}  // namespace transformer
