#include "transformer/finish.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <numeric>
#include <utility>

#include "transformer/adam.hpp"
#include "transformer/loss.hpp"
#include "transformer/tunable_model.hpp"

namespace transformer {
namespace {

using nash_swarm::BFloat16;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using Values = std::map<std::string, std::vector<float>>;  // of the vectors of a model

constexpr std::size_t tokens_at_once = 512;

/// Windows that run together.
struct Batch {
  std::vector<std::int32_t> tokens;
  std::size_t sequences = 0;
  FloatMatrix expected;  // final hidden states of the float model [tokens, n_embd]
};

struct Batches {
  std::vector<Batch> training;
  std::vector<Batch> held_out;
};

/// Deals windows out to batches, so that those of a batch come from all over the text.
std::vector<Batch> deal(const std::vector<std::span<const std::int32_t>>& windows) {
  if (windows.empty()) return {};
  const std::size_t at_once = std::max<std::size_t>(1, tokens_at_once / windows.front().size());
  std::vector<Batch> batches((windows.size() + at_once - 1) / at_once);
  for (std::size_t w = 0; w < windows.size(); ++w) {
    Batch& batch = batches[w % batches.size()];
    batch.tokens.insert(batch.tokens.end(), windows[w].begin(), windows[w].end());
    ++batch.sequences;
  }
  return batches;
}

/// Holds out one window in eight, at least one, evenly spaced.
Batches split(std::span<const std::int32_t> tokens, std::size_t context) {
  const std::size_t count = context == 0 ? 0 : tokens.size() / context;
  const std::size_t held_out = std::max<std::size_t>(1, count / 8);
  std::vector<std::span<const std::int32_t>> parts[2];
  for (std::size_t w = 0; w < count; ++w) {
    const bool last_of_its_share = w * held_out / count != (w + 1) * held_out / count;
    parts[last_of_its_share ? 1 : 0].push_back(tokens.subspan(w * context, context));
  }
  return {deal(parts[0]), deal(parts[1])};
}

/// Steps of the descent: three passes, fewer for large models, for which they are dear.
std::size_t step_count(const std::vector<Batch>& batches, std::size_t weights) {
  constexpr std::size_t passes = 3;
  constexpr std::size_t fewest = 16;
  constexpr std::size_t products = 5'000'000'000'000;
  const std::size_t affordable = products / (weights * batches.front().tokens.size());
  return std::min(passes * batches.size(), std::max(fewest, affordable));
}

/// The rate that a descent starts from. Errors are as large as the root of the divergence, and so
/// are the steps that mend them; on the bundled model 0.0036, 0.0015 and 0.00075 at 2, 3 and 4 bits
/// did best or as well as any, and twice as much at 3 bits lost a fifth of the gain.
double highest_rate(double kld) {
  constexpr double most = 0.004;
  return std::min(most, 0.016 * std::sqrt(kld));
}

/// The rate's share of the highest: a short rise, then half a cosine down to 0.
double rate_share(std::size_t step, std::size_t steps) {
  constexpr double rise = 5.0;  // steps; the first gradients say little about their sizes
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  return std::min(1.0, static_cast<double>(step + 1) / rise) * 0.5 *
         (1.0 + std::cos(std::numbers::pi * done));
}

/// The values as they will be read back from a file.
Values stored_values(const std::map<std::string, TunableVector>& vectors) {
  Values values;
  for (const auto& [name, vector] : vectors) {
    std::vector<float>& stored = values[name];
    for (std::size_t i = 0; i < vector.values.size(); ++i) {
      stored.push_back(vector.stored(i, vector.values[i]));
    }
  }
  return values;
}

Values exchange_values(std::map<std::string, TunableVector>& vectors, const Values& values) {
  Values before;
  for (auto& [name, vector] : vectors) {
    before[name].assign(vector.values.begin(), vector.values.end());
    std::copy(values.at(name).begin(), values.at(name).end(), vector.values.begin());
  }
  return before;
}

class Descent {
 public:
  Descent(const Checkpoint& checkpoint, std::span<const PackedMatrix> matrices, Batches batches,
          ThreadPool& pool)
      : pool_(pool),
        teacher_(make_float_model(checkpoint, false)),
        student_(checkpoint, matrices, pool),
        batches_(std::move(batches)) {
    for (std::vector<Batch>* part : {&batches_.training, &batches_.held_out}) {
      for (Batch& batch : *part) {
        batch.expected = hidden_states(teacher_, batch.tokens, batch.sequences, pool);
      }
    }
  }

  /// @return the best values for the held-out windows; empty if they are those of the start
  Values run(std::size_t steps, FinishResult& result, const FinishObserver& observer) {
    constexpr std::size_t checks = 2;
    observer(0, steps);
    Values best;
    result.kld_before = result.kld_after = held_out_kld();
    const double highest = highest_rate(result.kld_before);
    Adam adam(student_.vectors());
    for (std::size_t step = 0; step < steps; ++step) {
      const Batch& batch = batches_.training[step % batches_.training.size()];
      student_.compute_gradients(
          batch.tokens, batch.sequences,
          gradient_of_divergence(*teacher_.token_embedding, batch.expected.view(), pool_), pool_);
      adam.step(highest * rate_share(step, steps));
      if (step * checks / steps != (step + 1) * checks / steps) keep_if_best(best, result);
      observer(step + 1, steps);
    }
    return best;
  }

 private:
  void keep_if_best(Values& best, FinishResult& result) {
    Values stored = stored_values(student_.vectors());
    const Values exact = exchange_values(student_.vectors(), stored);
    const double kld = held_out_kld();
    exchange_values(student_.vectors(), exact);
    if (!(kld < result.kld_after)) return;
    result.kld_after = kld;
    best = std::move(stored);
  }

  double held_out_kld() const {
    double sum = 0.0;
    std::size_t tokens = 0;
    const Model* const models[] = {&teacher_, &student_.model()};
    for (const Batch& batch : batches_.held_out) {
      const FloatMatrix hidden =
          hidden_states(student_.model(), batch.tokens, batch.sequences, pool_);
      const TensorView<const float, 2> states[] = {batch.expected.view(), hidden.view()};
      // Any tokens can be the targets: a divergence has none.
      const TokenScores scores = score_tokens(models, states, batch.tokens, true, pool_).back();
      sum = std::accumulate(scores.divergences.begin(), scores.divergences.end(), sum);
      tokens += batch.tokens.size();
    }
    return sum / static_cast<double>(tokens);
  }

  ThreadPool& pool_;
  const Model teacher_;
  TunableModel student_;
  Batches batches_;
};

/// The matrix with its row scales multiplied by factors.
/// @param factors of the rows in their natural order
PackedMatrix with_factors(const PackedMatrix& matrix, const std::vector<float>& factors) {
  struct Storage {
    PackedMatrix matrix;
    std::vector<BFloat16> row_scales;
  };
  auto storage = std::make_shared<Storage>(Storage{matrix, {}});
  for (std::size_t position = 0; position < factors.size(); ++position) {
    const float factor = factors[matrix.row_order().row_at(position)];
    storage->row_scales.push_back(
        nash_swarm::to_bfloat16(nash_swarm::to_float(matrix.row_scales()[position]) * factor));
  }
  return PackedMatrix({matrix.name(), matrix.out_features(), matrix.shared_basis(), matrix.codes(),
                       storage->row_scales, matrix.run_table(), storage, matrix.row_order_bytes()});
}

}  // namespace

FinishResult finish(const Checkpoint& checkpoint, std::vector<PackedMatrix> matrices,
                    std::span<const std::int32_t> tokens, ThreadPool& pool,
                    const FinishObserver& observer) {
  FinishResult result;
  result.matrices = std::move(matrices);
  Batches batches = split(tokens, std::min(checkpoint.config().n_ctx, tokens.size()));
  if (batches.training.empty()) return result;
  const std::size_t steps = step_count(batches.training, checkpoint.parameter_count());
  // The float model need not run over batches that no step comes to.
  if (steps < batches.training.size()) batches.training.resize(steps);
  Descent descent(checkpoint, result.matrices, std::move(batches), pool);
  result.tensors = descent.run(steps, result, observer);
  for (PackedMatrix& matrix : result.matrices) {
    const auto scales = result.tensors.extract(matrix.name() + ".row_scales");
    if (!scales.empty()) matrix = with_factors(matrix, scales.mapped());
  }
  return result;
}

}  // namespace transformer
