#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/logit_gradient.hpp"
#include "transformer/model.hpp"

namespace transformer {

/// Gets the gradients of a model, part by part; what is empty is not computed.
struct GradientObserver {
  /// Layers below are not gone back through, nor to the token embedding unless this is 0.
  std::size_t first_layer = 0;
  /// Input [tokens, in] of a layer's matrix, and the gradient by its output [tokens, out].
  std::function<void(const std::string& matrix, nash_swarm::TensorView<const float, 2> x,
                     nash_swarm::TensorView<const float, 2> dy)>
      matrix;
  /// Output of a layer's matrix with its bias, and the gradient by it, both [tokens, out].
  std::function<void(const std::string& matrix, nash_swarm::TensorView<const float, 2> y,
                     nash_swarm::TensorView<const float, 2> dy)>
      output;
  /// Gradients by weight and bias of a norm such as "h.0.ln_1", [n_embd] each; no bias is empty.
  std::function<void(const std::string& norm, std::span<const float> dweight,
                     std::span<const float> dbias)>
      norm;
  /// Gradients [vocabulary, n_embd] by the token embedding and by the head, or by both in one if
  /// they are tied, and the vectors [tokens, n_embd] that an error in the matrix is multiplied by
  /// in the model: the final hidden states, or for an embedding that is only looked up the
  /// gradients by its rows.
  std::function<void(const std::string& matrix, nash_swarm::TensorView<const float, 2> x,
                     nash_swarm::TensorView<const float, 2> gradient)>
      vocabulary_matrix;
};

/// Runs sequences of equal length, as `hidden_states` takes them, through a float model and back.
/// @throws nash_swarm::Error as `hidden_states` does, or if a matrix is packed
void run_backward(const Model& model, std::span<const std::int32_t> tokens,
                  const LogitGradient& logit_gradient, nash_swarm::ThreadPool& pool,
                  const GradientObserver& observer, std::size_t sequences = 1);

}  // namespace transformer
