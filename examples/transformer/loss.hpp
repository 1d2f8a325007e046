#pragma once

#include <cstddef>
#include <cstdint>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <span>
#include <vector>

#include "transformer/model.hpp"

namespace transformer {

/// Number of tokens whose logits are computed at a time: as many as take about 32 MB, from 64 to
/// 256.
std::size_t tokens_per_logit_chunk(std::size_t vocabulary_size);

/// log Σ exp(logit) in double precision.
double log_sum_exp(std::span<const float> logits);

/// KL(p ‖ q) = Σ p·(log p − log q) in nats, in double precision, where p and q are the softmax of
/// their logits; exactly 0 for equal logits.
/// @param p_log_sum log_sum_exp(p_logits)
/// @param q_log_sum log_sum_exp(q_logits)
double kl_divergence(std::span<const float> p_logits, double p_log_sum,
                     std::span<const float> q_logits, double q_log_sum);

/// The token with the largest logit, the lowest one among equals.
std::size_t most_likely_token(std::span<const float> logits);

/// What the logits of one model say about each token of a batch.
struct TokenScores {
  std::vector<double> losses;       ///< −log p(target) in nats, p the softmax of the logits
  std::vector<double> divergences;  ///< KL(reference ‖ model) in nats; empty without a reference
  std::vector<unsigned char> agreements;  ///< 1 if the reference has the same most likely token
  double seconds = 0.0;                   ///< wall time of computing the logits
};

/// Computes the logits of all models for the same tokens, chunk by chunk, and scores them; only the
/// chunks of two models are held at a time. Losses do not depend on which models run together, and
/// nothing depends on the number of threads.
/// @param hidden of each model its final hidden states [tokens, n_embd]
/// @param targets the token that follows, for each
/// @param first_is_reference whether the first model is what the others are compared with
/// @throws nash_swarm::Error if the numbers or the vocabularies differ or a target is not in the
/// vocabulary
std::vector<TokenScores> score_tokens(
    std::span<const Model* const> models,
    std::span<const nash_swarm::TensorView<const float, 2>> hidden,
    std::span<const std::int32_t> targets, bool first_is_reference, nash_swarm::ThreadPool& pool);

/// The loss −log p(target) of every token in nats: `score_tokens` of a single model.
/// @param hidden final hidden states [tokens, n_embd]
/// @param targets the token that follows, for each
/// @throws nash_swarm::Error if the numbers differ or a target is not in the vocabulary
std::vector<double> token_losses(const Model& model, nash_swarm::TensorView<const float, 2> hidden,
                                 std::span<const std::int32_t> targets,
                                 nash_swarm::ThreadPool& pool);

}  // namespace transformer
