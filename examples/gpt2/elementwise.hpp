#pragma once

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <span>

namespace gpt2 {

/// The steps between the matrices; each works on the rows of a batch [tokens, features] in
/// parallel.

/// y = (x − mean) / √(variance + epsilon) · weight + bias for every row.
void layer_norm(nash_swarm::TensorView<const float, 2> x, std::span<const float> weight,
                std::span<const float> bias, float epsilon, nash_swarm::TensorView<float, 2> y,
                nash_swarm::ThreadPool& pool);

/// y += bias for every row.
void add_bias(nash_swarm::TensorView<float, 2> y, std::span<const float> bias,
              nash_swarm::ThreadPool& pool);

/// x := gelu_new(x): the tanh form of the Gaussian error linear unit,
/// ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks and Gimpel 2016, section 2).
void gelu(nash_swarm::TensorView<float, 2> x, nash_swarm::ThreadPool& pool);

/// hidden += update + bias for every row.
void add_residual(nash_swarm::TensorView<float, 2> hidden,
                  nash_swarm::TensorView<const float, 2> update, std::span<const float> bias,
                  nash_swarm::ThreadPool& pool);

/// dx += the gradient by the input x of `layer_norm`, given that by its output
void layer_norm_gradient(nash_swarm::TensorView<const float, 2> x, std::span<const float> weight,
                         float epsilon, nash_swarm::TensorView<const float, 2> dy,
                         nash_swarm::TensorView<float, 2> dx, nash_swarm::ThreadPool& pool);

/// The gradients by weight and bias of `layer_norm`, given that by its output.
/// @param dweight, dbias [features], overwritten
void layer_norm_parameter_gradient(nash_swarm::TensorView<const float, 2> x, float epsilon,
                                   nash_swarm::TensorView<const float, 2> dy,
                                   std::span<float> dweight, std::span<float> dbias);

/// dy := the gradient by the input x of `gelu`, given that by its output
void gelu_gradient(nash_swarm::TensorView<const float, 2> x, nash_swarm::TensorView<float, 2> dy,
                   nash_swarm::ThreadPool& pool);

}  // namespace gpt2
