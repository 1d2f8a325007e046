#pragma once

#include <cstddef>
#include <functional>
#include <nash_swarm/core/thread_pool.hpp>
#include <optional>
#include <span>
#include <vector>

#include "transformer/evaluation_text.hpp"
#include "transformer/model.hpp"
#include "transformer/progress.hpp"

namespace transformer {

/// How well a model predicts a text.
struct Evaluation {
  double loss = 0.0;                     ///< mean of −log p(target) per scored token, in nats
  std::vector<double> window_losses;     ///< the same mean for every window
  std::vector<double> padding_losses;    ///< for every window the sum over its padding
  std::optional<double> kld;             ///< mean KL(reference ‖ model) per token, in nats
  std::optional<double> top1_agreement;  ///< share of tokens with the reference's top prediction
  double seconds = 0.0;                  ///< wall time of the model's hidden states and logits
};

/// Called whenever a model has computed the hidden states of some more tokens; over an evaluation
/// they add up to models × scored tokens.
using EvaluationObserver = std::function<void(std::size_t tokens)>;

/// Evaluates models side by side on batches of about 2,048 tokens, so that weights are streamed
/// once per batch and logits are held for a chunk of tokens only. Loss and window losses of a
/// model do not depend on which others run with it; no number but the time depends on the threads.
/// @param models share one vocabulary
/// @param first_is_reference true to fill `kld` and `top1_agreement` against the first model, for
/// which they are 0 and 1
/// @throws nash_swarm::Error if there is nothing to score, a token is not in the vocabulary, the
/// vocabularies differ, or a window does not fit a model's context
std::vector<Evaluation> evaluate(std::span<const Model* const> models, bool first_is_reference,
                                 const EvaluationText& text, nash_swarm::ThreadPool& pool,
                                 const EvaluationObserver& observer = {});

/// The same on several texts, as one stage of a program: [texts][models].
std::vector<std::vector<Evaluation>> evaluate_texts(std::span<const Model* const> models,
                                                    bool first_is_reference,
                                                    std::span<const EvaluationText> texts,
                                                    nash_swarm::ThreadPool& pool,
                                                    Progress& progress);

}  // namespace transformer
