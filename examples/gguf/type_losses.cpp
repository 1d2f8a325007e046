#include "type_losses.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>

#include "block_rounding.hpp"
#include "error_cost.hpp"

namespace gguf {
namespace {

using nash_swarm::Error;
using nash_swarm::ThreadPool;

/// A type that a row can have.
struct Candidate {
  const nash_swarm::GgufType* type;
  const BlockScheme* scheme;  // nullptr for F16 and BF16
};

std::vector<Candidate> candidates_for(std::size_t in_features) {
  std::vector<Candidate> candidates{{nash_swarm::gguf_type_named("F16"), nullptr},
                                    {nash_swarm::gguf_type_named("BF16"), nullptr}};
  for (const BlockScheme& scheme : block_schemes()) {
    if (in_features % scheme.type().block_weights == 0) {
      candidates.push_back({&scheme.type(), &scheme});
    }
  }
  return candidates;
}

void round_row_to(const Candidate& candidate, std::span<const float> row,
                  std::span<const float> imatrix, std::span<float> out) {
  if (candidate.scheme != nullptr) return round_row(*candidate.scheme, row, imatrix, out);
  const bool half = candidate.type->element == nash_swarm::DataType::F16;
  for (std::size_t k = 0; k < row.size(); ++k) {
    out[k] = half ? nash_swarm::to_float(nash_swarm::to_half(row[k]))
                  : nash_swarm::to_float(nash_swarm::to_bfloat16(row[k]));
  }
}

/// Some evenly spaced rows, [count, in].
struct SampledRows {
  std::vector<std::size_t> place;
  std::vector<float> weights;
};

SampledRows sample_rows(const Matrix& matrix, std::size_t sampled_weights) {
  constexpr std::size_t fewest_rows = 64;
  // From so many channels on, products with moments take longer than rounding.
  constexpr std::size_t costly_channels = 2048;
  const std::size_t in = matrix.in_features;
  std::size_t count = sampled_weights / in;
  if (matrix.calibration != nullptr && in > costly_channels) count = count * costly_channels / in;
  count = std::min(std::max(count, fewest_rows), matrix.out_features);
  SampledRows sample;
  sample.weights.resize(count * in);
  for (std::size_t i = 0; i < count; ++i) {
    sample.place.push_back((2 * i + 1) * matrix.out_features / (2 * count));
    const std::span<float> row(sample.weights.data() + i * in, in);
    matrix.read(sample.place[i], row);
    for (std::size_t k = 0; k < in; ++k) {
      if (std::isfinite(row[k])) continue;
      throw Error(matrix.name,
                  (std::isnan(row[k]) ? "NaN at [" : "infinity at [") +
                      std::to_string(sample.place[i]) + ", " + std::to_string(k) + "]",
                  "export the checkpoint again");
    }
  }
  return sample;
}

/// The errors of every candidate, [candidates][rows, in].
std::vector<std::vector<float>> errors_of(const Matrix& matrix, const SampledRows& sample,
                                          const std::vector<Candidate>& candidates,
                                          ThreadPool& pool) {
  const std::size_t in = matrix.in_features;
  std::vector<std::vector<float>> errors(candidates.size(),
                                         std::vector<float>(sample.weights.size()));
  pool.run(sample.place.size(), [&](std::size_t i) {
    const std::span<const float> row(sample.weights.data() + i * in, in);
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      const std::span<float> error(errors[c].data() + i * in, in);
      round_row_to(candidates[c], row, matrix.imatrix, error);
      for (std::size_t k = 0; k < in; ++k) error[k] -= row[k];
    }
  });
  return errors;
}

/// The loss of errors that cost as much as the weights would, channels taken apart.
double loss_of_weights(const Matrix& matrix, const ErrorCost& cost) {
  if (matrix.calibration != nullptr && matrix.calibration->has_gradients()) {
    return 0.5 * cost.diagonal_of_weights();
  }
  return static_cast<double>(matrix.out_features) * static_cast<double>(matrix.in_features);
}

}  // namespace

std::vector<TypeLoss> type_losses(const Matrix& matrix, ThreadPool& pool,
                                  std::size_t sampled_weights) {
  const ErrorCost cost(matrix);
  const std::vector<Candidate> candidates = candidates_for(matrix.in_features);
  const SampledRows sample = sample_rows(matrix, sampled_weights);
  const std::vector<double> errors =
      cost.full(sample.place, errors_of(matrix, sample, candidates, pool), pool);
  const double sampled = cost.diagonal({sample.place, sample.weights});
  const double whole = loss_of_weights(matrix, cost);
  std::vector<TypeLoss> losses;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const nash_swarm::GgufType& type = *candidates[c].type;
    const double loss = sampled > 0.0 ? whole * std::max(errors[c], 0.0) / sampled : 0.0;
    // Weights too large for half precision rule a type out.
    if (!std::isfinite(errors[c]) || !std::isfinite(loss)) continue;
    const std::uint64_t row_bytes =
        std::uint64_t{matrix.in_features} / type.block_weights * type.block_bytes;
    losses.push_back({type.name, row_bytes * matrix.out_features, loss});
  }
  return losses;
}

}  // namespace gguf
