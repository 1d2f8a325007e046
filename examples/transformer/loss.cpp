#include "transformer/loss.hpp"

#include <algorithm>
#include <cmath>
#include <nash_swarm/core/error.hpp>
#include <string>
#include <utility>

#include "transformer/eigen_view.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/seconds.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// Logits are brought to double precision in blocks that stay in the first-level cache.
constexpr std::size_t block = 512;
using Block = Eigen::Array<double, Eigen::Dynamic, 1, 0, static_cast<int>(block), 1>;

/// Calls `body(begin, size)` for every block of [0, size).
template <class Body>
void for_each_block(std::size_t size, Body body) {
  for (std::size_t begin = 0; begin < size; begin += block) {
    body(begin, std::min(block, size - begin));
  }
}

void check_inputs(std::span<const Model* const> models,
                  std::span<const TensorView<const float, 2>> hidden,
                  std::span<const std::int32_t> targets) {
  if (models.empty() || models.size() != hidden.size()) {
    throw Error("models", std::to_string(hidden.size()) + " sets of hidden states for " +
                              std::to_string(models.size()) + " models");
  }
  const std::size_t vocabulary = models.front()->config.vocab_size;
  for (std::size_t m = 0; m < models.size(); ++m) {
    if (models[m]->config.vocab_size != vocabulary) {
      throw Error("models",
                  "vocabularies of " + std::to_string(vocabulary) + " and " +
                      std::to_string(models[m]->config.vocab_size) + " tokens",
                  "compare models of the same vocabulary");
    }
    if (hidden[m].extent(0) != targets.size()) {
      throw Error("targets", std::to_string(targets.size()) + " targets for " +
                                 std::to_string(hidden[m].extent(0)) + " tokens");
    }
  }
  for (const std::int32_t target : targets) {
    if (target < 0 || static_cast<std::size_t>(target) >= vocabulary) {
      throw Error("targets", "token " + std::to_string(target) + " is not in the vocabulary of " +
                                 std::to_string(vocabulary));
    }
  }
}

/// The logits of a chunk of tokens by one model, and the logarithm of each row's softmax sum.
struct Chunk {
  Chunk(std::size_t tokens, std::size_t vocabulary)
      : logits(FloatMatrix::for_overwrite(tokens, vocabulary)), log_sums(tokens) {}

  std::span<const float> row(std::size_t token) const { return row_of(logits.view(), token); }

  FloatMatrix logits;
  std::vector<double> log_sums;
};

/// Fills rows [0, hidden.extent(0)) of the chunk's logits.
/// @return wall time in seconds
double compute_logits(const Model& model, TensorView<const float, 2> hidden, Chunk& chunk,
                      ThreadPool& pool) {
  const auto start = Clock::now();
  model.token_embedding->logits(hidden, chunk.logits.view().slice(0, 0, hidden.extent(0)), pool);
  return seconds_since(start);
}

/// Scores the chunk's tokens, which are `targets` from `begin` on.
/// @param reference null if there is none; may be the chunk itself
void score_chunk(Chunk& chunk, const Chunk* reference, std::span<const std::int32_t> targets,
                 std::size_t begin, std::size_t count, TokenScores& scores, ThreadPool& pool) {
  pool.run(count, [&](std::size_t i) {
    const std::span<const float> row = chunk.row(i);
    const auto target = static_cast<std::size_t>(targets[begin + i]);
    chunk.log_sums[i] = log_sum_exp(row);
    scores.losses[begin + i] = chunk.log_sums[i] - static_cast<double>(row[target]);
    if (reference == nullptr) return;
    const std::span<const float> expected = reference->row(i);
    scores.divergences[begin + i] =
        kl_divergence(expected, reference->log_sums[i], row, chunk.log_sums[i]);
    scores.agreements[begin + i] = most_likely_token(expected) == most_likely_token(row) ? 1 : 0;
  });
}

}  // namespace

std::size_t tokens_per_logit_chunk(std::size_t vocabulary_size) {
  constexpr std::size_t floats = std::size_t{8} << 20;
  return std::clamp<std::size_t>(floats / vocabulary_size / 64 * 64, 64, 256);
}

double log_sum_exp(std::span<const float> logits) {
  const auto maximum = static_cast<double>(eigen_row(logits).maxCoeff());
  Block exponentials;
  double sum = 0.0;
  for_each_block(logits.size(), [&](std::size_t begin, std::size_t size) {
    exponentials = eigen_row(logits.subspan(begin, size)).cast<double>();
    exponentials = (exponentials - maximum).exp();
    sum += exponentials.sum();
  });
  return maximum + std::log(sum);
}

double kl_divergence(std::span<const float> p_logits, double p_log_sum,
                     std::span<const float> q_logits, double q_log_sum) {
  Block p;
  Block q;
  double sum = 0.0;
  for_each_block(p_logits.size(), [&](std::size_t begin, std::size_t size) {
    p = eigen_row(p_logits.subspan(begin, size)).cast<double>();
    q = eigen_row(q_logits.subspan(begin, size)).cast<double>();
    sum += ((p - p_log_sum).exp() * (p - q)).sum();
  });
  return sum + (q_log_sum - p_log_sum);
}

std::size_t most_likely_token(std::span<const float> logits) {
  const float maximum = eigen_row(logits).maxCoeff();
  return static_cast<std::size_t>(std::find(logits.begin(), logits.end(), maximum) -
                                  logits.begin());
}

std::vector<TokenScores> score_tokens(std::span<const Model* const> models,
                                      std::span<const TensorView<const float, 2>> hidden,
                                      std::span<const std::int32_t> targets,
                                      bool first_is_reference, ThreadPool& pool) {
  check_inputs(models, hidden, targets);
  const std::size_t compared = first_is_reference ? targets.size() : 0;
  std::vector<TokenScores> scores(models.size());
  for (TokenScores& model_scores : scores) {
    model_scores.losses.resize(targets.size());
    model_scores.divergences.resize(compared);
    model_scores.agreements.resize(compared);
  }
  const std::size_t vocabulary = models.front()->config.vocab_size;
  const std::size_t chunk_tokens = std::min(tokens_per_logit_chunk(vocabulary), targets.size());
  Chunk first(chunk_tokens, vocabulary);
  // Without a reference nothing needs to outlast its model's turn.
  Chunk other(first_is_reference && models.size() > 1 ? chunk_tokens : 0, vocabulary);
  for (std::size_t begin = 0; begin < targets.size(); begin += chunk_tokens) {
    const std::size_t count = std::min(chunk_tokens, targets.size() - begin);
    for (std::size_t m = 0; m < models.size(); ++m) {
      Chunk& chunk = first_is_reference && m > 0 ? other : first;
      scores[m].seconds +=
          compute_logits(*models[m], hidden[m].slice(0, begin, begin + count), chunk, pool);
      score_chunk(chunk, first_is_reference ? &first : nullptr, targets, begin, count, scores[m],
                  pool);
    }
  }
  return scores;
}

std::vector<double> token_losses(const Model& model, TensorView<const float, 2> hidden,
                                 std::span<const std::int32_t> targets, ThreadPool& pool) {
  const Model* const models[] = {&model};
  const TensorView<const float, 2> states[] = {hidden};
  return std::move(score_tokens(models, states, targets, false, pool).front().losses);
}

}  // namespace transformer
