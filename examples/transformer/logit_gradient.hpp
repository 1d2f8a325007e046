#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <span>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/linear.hpp"

namespace transformer {

/// Replaces logits [tokens, vocabulary], those of the tokens from `begin` on, by the gradients of
/// the summed loss.
using LogitGradient =
    std::function<void(std::size_t begin, nash_swarm::TensorView<float, 2> logits)>;

/// The loss −log p(label) with labels that are given, one for every token; they have to outlive the
/// result.
/// @throws nash_swarm::Error when it is called, for a label outside the vocabulary (named by
/// place), or too few of them
LogitGradient gradient_of_labels(std::span<const std::int32_t> labels);

/// The same with labels drawn from the predictions themselves; its gradients' second moments are
/// the Fisher information. Every token takes one number of the engine.
LogitGradient gradient_of_drawn_labels(std::mt19937_64& engine, nash_swarm::ThreadPool& pool);

/// The divergence KL(teacher ‖ model) from a teacher of the same vocabulary.
/// @param hidden the teacher's final hidden states of the same tokens; teacher and hidden states
/// have to outlive the result
LogitGradient gradient_of_divergence(const TokenEmbedding& teacher,
                                     nash_swarm::TensorView<const float, 2> hidden,
                                     nash_swarm::ThreadPool& pool);

}  // namespace transformer
