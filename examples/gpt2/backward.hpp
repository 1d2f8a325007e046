#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <span>
#include <string>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "gpt2/model.hpp"

namespace gpt2 {

/// Replaces logits [tokens, vocabulary], those of the tokens from `begin` on, by the gradients of
/// the summed loss.
using LogitGradient =
    std::function<void(std::size_t begin, nash_swarm::TensorView<float, 2> logits)>;

/// The loss −log p(label) with labels that are given, one for every token; they have to outlive the
/// result.
/// @throws nash_swarm::Error when it is called, for a label outside the vocabulary (named by place),
/// or too few of them
LogitGradient gradient_of_labels(std::span<const std::int32_t> labels);

/// The same with labels drawn from the predictions themselves; its gradients' second moments are
/// the Fisher information. Every token takes one number of the engine.
LogitGradient gradient_of_drawn_labels(std::mt19937_64& engine);

/// The divergence KL(teacher ‖ model) from a teacher of the same vocabulary.
/// @param hidden the teacher's final hidden states of the same tokens; teacher and hidden states
/// have to outlive the result
LogitGradient gradient_of_divergence(const TokenEmbedding& teacher,
                                     nash_swarm::TensorView<const float, 2> hidden,
                                     nash_swarm::ThreadPool& pool);

/// Gets the gradients of a model, part by part; what is empty is not computed.
struct GradientObserver {
  /// Layers below are not gone back through, nor to the token embedding unless this is 0.
  std::size_t first_layer = 0;
  /// Input [tokens, in] of a block matrix, and the gradient by its output [tokens, out].
  std::function<void(const std::string& matrix, nash_swarm::TensorView<const float, 2> x,
                     nash_swarm::TensorView<const float, 2> dy)>
      matrix;
  /// Output of a block matrix with its bias, and the gradient by it, both [tokens, out].
  std::function<void(const std::string& matrix, nash_swarm::TensorView<const float, 2> y,
                     nash_swarm::TensorView<const float, 2> dy)>
      output;
  /// Gradients by weight and bias of a layer norm such as "h.0.ln_1", [n_embd] each.
  std::function<void(const std::string& norm, std::span<const float> dweight,
                     std::span<const float> dbias)>
      norm;
  /// Final hidden states, and the gradient by the token embedding [vocabulary, n_embd] in both its
  /// roles.
  std::function<void(nash_swarm::TensorView<const float, 2> hidden,
                     nash_swarm::TensorView<const float, 2> gradient)>
      token_embedding;
};

/// Runs sequences of equal length, as `hidden_states` takes them, through a float model and back.
/// @throws nash_swarm::Error as `hidden_states` does, or if a matrix is packed
void run_backward(const Model& model, std::span<const std::int32_t> tokens,
                  const LogitGradient& logit_gradient, nash_swarm::ThreadPool& pool,
                  const GradientObserver& observer, std::size_t sequences = 1);

}  // namespace gpt2
