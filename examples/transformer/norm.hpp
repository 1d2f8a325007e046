#pragma once

#include <span>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/config.hpp"

namespace transformer {

/// Parameters of a norm over the features of a row; RMSNorm has no bias.
struct NormParameters {
  NormKind kind = NormKind::layer;
  float epsilon = 1e-5f;
  std::span<const float> weight;  ///< [features]
  std::span<const float> bias;    ///< [features], or empty
};

/// y = (x − mean) / √(variance + epsilon) · weight + bias for every row, or
/// x / √(mean square + epsilon) · weight.
/// @param x, y [tokens, features]
void normalise(const NormParameters& norm, nash_swarm::TensorView<const float, 2> x,
               nash_swarm::TensorView<float, 2> y, nash_swarm::ThreadPool& pool);

/// dx += the gradient by the input x of `normalise`, given that by its output
void add_norm_gradient(const NormParameters& norm, nash_swarm::TensorView<const float, 2> x,
                       nash_swarm::TensorView<const float, 2> dy,
                       nash_swarm::TensorView<float, 2> dx, nash_swarm::ThreadPool& pool);

/// The gradients by weight and bias of `normalise`, given that by its output.
/// @param dweight, dbias [features], overwritten; dbias is empty where there is none
void norm_parameter_gradient(const NormParameters& norm, nash_swarm::TensorView<const float, 2> x,
                             nash_swarm::TensorView<const float, 2> dy, std::span<float> dweight,
                             std::span<float> dbias);

}  // namespace transformer
