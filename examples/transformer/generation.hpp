#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <nash_swarm/core/thread_pool.hpp>
#include <random>
#include <span>
#include <vector>

#include "transformer/model.hpp"

namespace transformer {

/// Chooses a token from logits: the most likely one at temperature 0, else one drawn from the
/// softmax of logits / temperature. The same seed draws the same numbers on every platform.
class Sampler {
 public:
  /// @throws nash_swarm::Error if the temperature is negative, infinite or not a number
  Sampler(double temperature, std::uint64_t seed);

  /// @throws nash_swarm::Error if a logit is not finite
  std::int32_t choose(std::span<const float> logits);

 private:
  double uniform();

  double temperature_;
  std::mt19937_64 random_;
  std::vector<double> weights_;
};

/// The tokens that follow a prompt, and how long they took.
struct Generation {
  std::vector<std::int32_t> tokens;
  double prompt_seconds = 0.0;      ///< wall time of the prompt, up to the first token
  double generation_seconds = 0.0;  ///< wall time of the steps that gave the other tokens
};

/// Called with every token as soon as it is chosen.
using TokenObserver = std::function<void(std::int32_t token)>;

/// Continues a prompt by `count` tokens: the prompt runs as one batch, then every token alone
/// against the keys and values of those before it. "<|endoftext|>" is a token like any other.
/// @throws nash_swarm::Error if the prompt is empty or prompt and tokens exceed n_ctx, before any
/// work; or if a token is not in the vocabulary or a logit is not finite
Generation generate(const Model& model, std::span<const std::int32_t> prompt, std::size_t count,
                    Sampler& sampler, nash_swarm::ThreadPool& pool,
                    const TokenObserver& observer = {});

}  // namespace transformer
