#include "transformer/lone_errors.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <utility>

#include "transformer/decoded_matrix.hpp"
#include "transformer/eigen_view.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/linear.hpp"
#include "transformer/loss.hpp"
#include "transformer/model.hpp"
#include "transformer/model_shapes.hpp"

namespace transformer {
namespace {

using nash_swarm::MatrixPlan;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// A model that has been run over the text: what is left to compute are its logits.
struct Run {
  FloatMatrix hidden;                                     // [tokens, n_embd]
  std::shared_ptr<const TokenEmbedding> token_embedding;  // of its own, or that of the float model
};

/// Runs a model in which `replacement`, unless it is null, takes the place of the matrix of its
/// name.
/// @param reference whose embedding serves where it is the same; null for none
Run run_model(const Checkpoint& checkpoint, std::span<const std::int32_t> tokens,
              std::size_t window, const std::shared_ptr<const WeightSource>& replacement,
              const Run* reference, ThreadPool& pool) {
  Model model =
      make_float_model(checkpoint, false, [&](const std::shared_ptr<const WeightSource>& original) {
        return replacement && original->name() == replacement->name() ? replacement : original;
      });
  FloatMatrix hidden = hidden_states(model, tokens, tokens.size() / window, pool);
  const bool own = reference == nullptr || replacement->name() == head_name(model.config);
  return {std::move(hidden),
          own ? std::shared_ptr<const TokenEmbedding>(std::move(model.token_embedding))
              : reference->token_embedding};
}

/// Tokens whose vectors z are held at a time.
std::size_t tokens_per_batch(std::size_t runs, std::size_t vocabulary) {
  constexpr std::size_t floats = std::size_t{16} << 20;
  constexpr std::size_t most = 32;
  return std::clamp<std::size_t>(floats / (runs * vocabulary), 1, most);
}

/// Logits of a batch of tokens, in turn of every model, beside those of the float model.
class LogitErrors {
 public:
  LogitErrors(const Run& reference, std::size_t tokens, ThreadPool& pool)
      : reference_(reference),
        pool_(pool),
        expected_(tokens, reference.token_embedding->vocabulary_size()),
        logits_(tokens, expected_.columns()),
        log_sums_(tokens) {}

  void begin_batch(std::size_t begin, std::size_t end) {
    begin_ = begin;
    count_ = end - begin;
    compute(reference_, expected_);
    pool_.run(count_, [&](std::size_t t) {
      log_sums_[t] = log_sum_exp(row_of(std::as_const(expected_).view(), t));
    });
  }

  /// Writes the vectors z of the batch, one after the other.
  /// @return the KL divergences, summed over the batch
  double write(const Run& run, float* z) {
    compute(run, logits_);
    std::vector<double> divergences(count_);
    pool_.run(count_, [&](std::size_t t) {
      const std::size_t vocabulary = expected_.columns();
      const std::span<const float> p = row_of(std::as_const(expected_).view(), t);
      const std::span<const float> q = row_of(std::as_const(logits_).view(), t);
      const std::span<float> target(z + t * vocabulary, vocabulary);
      divergences[t] = kl_divergence(p, log_sums_[t], q, log_sum_exp(q));
      const auto log_sum = static_cast<float>(log_sums_[t]);
      const Eigen::ArrayXf roots = (0.5f * (eigen_row(p) - log_sum)).exp();
      const Eigen::ArrayXf delta = eigen_row(q) - eigen_row(p);
      const double mean = (roots.square() * delta).cast<double>().sum();
      eigen_row(target) = roots * (delta - static_cast<float>(mean));
    });
    double sum = 0.0;
    for (const double divergence : divergences) sum += divergence;
    return sum;
  }

 private:
  void compute(const Run& run, FloatMatrix& logits) {
    run.token_embedding->logits(run.hidden.view().slice(0, begin_, begin_ + count_),
                                logits.view().slice(0, 0, count_), pool_);
  }

  const Run& reference_;
  ThreadPool& pool_;
  FloatMatrix expected_;
  FloatMatrix logits_;
  std::vector<double> log_sums_;
  std::size_t begin_ = 0;
  std::size_t count_ = 0;
};

}  // namespace

LoneErrors lone_errors(const Checkpoint& checkpoint, std::span<const LonePlans> matrices,
                       std::span<const std::int32_t> tokens, std::size_t window, ThreadPool& pool,
                       const std::function<PackedMatrix(const MatrixPlan&)>& pack) {
  Run reference = run_model(checkpoint, tokens, window, nullptr, nullptr, pool);
  reference.token_embedding = make_float_embedding(checkpoint, true);
  const auto run_alone = [&](const MatrixPlan& plan) {
    const auto decoded =
        std::make_shared<const DecodedMatrix>(checkpoint.matrix(plan.name), pack(plan), pool);
    return run_model(checkpoint, tokens, window, decoded, &reference, pool);
  };
  std::vector<Run> seeded;
  std::vector<Run> coarse;
  for (const LonePlans& plans : matrices) {
    for (const MatrixPlan& plan : plans.seeds) seeded.push_back(run_alone(plan));
    coarse.push_back(run_alone(plans.coarse));
  }
  LoneErrors errors{std::vector<double>(matrices.size()), std::vector<double>(matrices.size()),
                    nash_swarm::HeadingProducts(matrices.size())};
  const std::size_t vocabulary = reference.token_embedding->vocabulary_size();
  const std::size_t batch = std::min(tokens.size(), tokens_per_batch(seeded.size(), vocabulary));
  const auto all_tokens = static_cast<double>(tokens.size());
  LogitErrors logits(reference, batch, pool);
  FloatMatrix z(seeded.size(), batch * vocabulary);
  for (std::size_t begin = 0; begin < tokens.size(); begin += batch) {
    const std::size_t end = std::min(tokens.size(), begin + batch);
    logits.begin_batch(begin, end);
    // Those of the coarse plans are not kept: their place is filled next.
    for (std::size_t m = 0; m < coarse.size(); ++m) {
      errors.coarse_losses[m] += logits.write(coarse[m], z.view()[0].data()) / all_tokens;
    }
    for (std::size_t r = 0; r < seeded.size(); ++r) {
      errors.losses[r / 2] += 0.5 * logits.write(seeded[r], z.view()[r].data()) / all_tokens;
    }
    errors.products.add(z.view().slice(1, 0, (end - begin) * vocabulary), end - begin, pool);
  }
  return errors;
}

}  // namespace transformer
