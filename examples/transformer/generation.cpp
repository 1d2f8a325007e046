#include "transformer/generation.hpp"

#include <algorithm>
#include <cmath>
#include <nash_swarm/core/error.hpp>
#include <string>

#include "transformer/loss.hpp"
#include "transformer/seconds.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;

void check_length(const Config& config, std::size_t prompt, std::size_t count) {
  if (prompt == 0) throw Error("prompt", "has no tokens", "give at least one");
  if (prompt <= config.n_ctx && count <= config.n_ctx - prompt) return;
  throw Error("--tokens",
              std::to_string(count) + " tokens after a prompt of " + std::to_string(prompt) +
                  " exceed the context of " + std::to_string(config.n_ctx) +
                  " tokens (\"n_ctx\" of the model)",
              prompt < config.n_ctx
                  ? "ask for at most " + std::to_string(config.n_ctx - prompt) + " tokens"
                  : "shorten the prompt to fewer than " + std::to_string(config.n_ctx) + " tokens");
}

/// The logits of the token that follows the last one of `tokens`.
class NextLogits {
 public:
  NextLogits(const Model& model, std::size_t capacity, nash_swarm::ThreadPool& pool)
      : model_(model),
        pool_(pool),
        cache_(model.config, capacity),
        logits_(1, model.config.vocab_size) {}

  std::span<const float> after(std::span<const std::int32_t> tokens) {
    const FloatMatrix hidden = hidden_states(model_, tokens, cache_, pool_);
    model_.token_embedding->logits(hidden.view().slice(0, hidden.rows() - 1, hidden.rows()),
                                   logits_.view(), pool_);
    return {logits_.view().data(), logits_.columns()};
  }

 private:
  const Model& model_;
  nash_swarm::ThreadPool& pool_;
  KeyValueCache cache_;
  FloatMatrix logits_;
};

}  // namespace

Sampler::Sampler(double temperature, std::uint64_t seed)
    : temperature_(temperature), random_(seed) {
  if (std::isfinite(temperature) && temperature >= 0.0) return;
  throw Error("--temperature", std::to_string(temperature) + " is not a finite number from 0 on",
              "use 0 for the most likely token, about 1 to draw from the model's distribution");
}

/// [0, 1) in steps of 2^-53; std::uniform_real_distribution differs between standard libraries.
double Sampler::uniform() {
  return static_cast<double>(random_() >> 11) * 0x1p-53;
}

std::int32_t Sampler::choose(std::span<const float> logits) {
  if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); })) {
    throw Error("logits", "the model gives a NaN or an infinity",
                "check its weights: export or quantize them again");
  }
  const std::size_t best = most_likely_token(logits);
  if (temperature_ == 0.0) return static_cast<std::int32_t>(best);
  weights_.resize(logits.size());
  double total = 0.0;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    const double difference =
        static_cast<double>(logits[token]) - static_cast<double>(logits[best]);
    weights_[token] = std::exp(difference / temperature_);
    total += weights_[token];
  }
  double left = uniform() * total;
  for (std::size_t token = 0; token < logits.size(); ++token) {
    left -= weights_[token];
    if (left < 0.0) return static_cast<std::int32_t>(token);
  }
  return static_cast<std::int32_t>(best);  // rounding has left a rest
}

Generation generate(const Model& model, std::span<const std::int32_t> prompt, std::size_t count,
                    Sampler& sampler, nash_swarm::ThreadPool& pool, const TokenObserver& observer) {
  check_length(model.config, prompt.size(), count);
  Generation generation;
  if (count == 0) return generation;
  NextLogits next(model, prompt.size() + count, pool);
  const auto take = [&](std::span<const float> logits) {
    generation.tokens.push_back(sampler.choose(logits));
    if (observer) observer(generation.tokens.back());
  };
  const Clock::time_point begin = Clock::now();
  take(next.after(prompt));
  generation.prompt_seconds = seconds_since(begin);
  while (generation.tokens.size() < count) take(next.after(std::span(generation.tokens).last(1)));
  generation.generation_seconds = seconds_since(begin) - generation.prompt_seconds;
  return generation;
}

}  // namespace transformer
