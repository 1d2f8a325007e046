#include "type_losses.hpp"

#include <algorithm>
#include <cmath>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/float_product.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/tensor_view.hpp>

#include "block_rounding.hpp"

namespace gguf {
namespace {

using nash_swarm::Error;
using nash_swarm::GroupMoment;
using nash_swarm::MatrixCalibration;
using nash_swarm::TensorView;
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

void check(const Matrix& matrix) {
  if (matrix.out_features == 0 || matrix.in_features == 0) {
    throw Error(matrix.name, "no weights");
  }
  const auto check_inputs = [&](const std::string& what, std::size_t inputs) {
    if (inputs == matrix.in_features) return;
    throw Error(matrix.name, what + " of " + std::to_string(inputs) + " channels for a matrix of " +
                                 std::to_string(matrix.in_features));
  };
  if (!matrix.imatrix.empty()) check_inputs("an imatrix", matrix.imatrix.size());
  if (matrix.calibration == nullptr) return;
  check_inputs("moments", matrix.calibration->inputs().in_features());
  if (matrix.calibration->has_gradients() &&
      matrix.calibration->gradients()->out_features() != matrix.out_features) {
    throw Error(matrix.name, "gradients of another matrix");
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

/// How much a row counts beside others.
double row_share(const Matrix& matrix, std::size_t row) {
  return matrix.calibration == nullptr ? 1.0 : matrix.calibration->row_share(row);
}

/// Sums for each candidate the cost of its errors under the moments: share · eᵀHe.
/// @return [candidates]
std::vector<double> costs_under_moments(const Matrix& matrix, const SampledRows& sample,
                                        const std::vector<std::vector<float>>& errors,
                                        ThreadPool& pool) {
  constexpr std::size_t band = 64;  // channels whose moments are laid out at a time
  const MatrixCalibration& calibration = *matrix.calibration;
  const std::size_t in = matrix.in_features;
  const std::size_t bands = (in + band - 1) / band;
  std::vector<std::vector<double>> sums(calibration.groups() * bands,
                                        std::vector<double>(errors.size()));
  pool.run(sums.size(), [&](std::size_t task) {
    const std::size_t group = task / bands;
    const auto in_group = [&](std::size_t place) { return calibration.group_of(place) == group; };
    const auto begin = std::find_if(sample.place.begin(), sample.place.end(), in_group);
    const auto end = std::find_if_not(begin, sample.place.end(), in_group);
    const auto rows = static_cast<std::size_t>(end - begin);
    if (rows == 0) return;
    const auto first_row = static_cast<std::size_t>(begin - sample.place.begin());
    const std::size_t first = task % bands * band;
    const std::size_t width = std::min(band, in - first);
    const GroupMoment moment(calibration, group);
    std::vector<float> moments(in * width);
    for (std::size_t k = 0; k < in; ++k) {
      for (std::size_t j = 0; j < width; ++j) {
        moments[k * width + j] = static_cast<float>(moment(k, first + j));
      }
    }
    std::vector<float> products(rows * width);
    for (std::size_t c = 0; c < errors.size(); ++c) {
      const TensorView<const float, 2> error(errors[c].data() + first_row * in, {rows, in});
      std::fill(products.begin(), products.end(), 0.0f);
      nash_swarm::add_product(error, TensorView<const float, 2>(moments.data(), {in, width}),
                              TensorView<float, 2>(products.data(), {rows, width}));
      for (std::size_t i = 0; i < rows; ++i) {
        double cost = 0.0;
        for (std::size_t j = 0; j < width; ++j) {
          cost += static_cast<double>(error(i, first + j)) *
                  static_cast<double>(products[i * width + j]);
        }
        sums[task][c] += row_share(matrix, sample.place[first_row + i]) * cost;
      }
    }
  });
  std::vector<double> costs(errors.size());
  for (const std::vector<double>& part : sums) {
    for (std::size_t c = 0; c < costs.size(); ++c) costs[c] += part[c];
  }
  return costs;
}

/// What a squared error of every channel costs, by group of rows: the diagonal of H.
std::vector<std::vector<double>> channel_costs(const Matrix& matrix) {
  const std::size_t in = matrix.in_features;
  if (matrix.calibration == nullptr) {
    std::vector<double> costs(in, 1.0);
    std::copy(matrix.imatrix.begin(), matrix.imatrix.end(), costs.begin());
    return {costs};
  }
  std::vector<std::vector<double>> costs(matrix.calibration->groups(), std::vector<double>(in));
  for (std::size_t group = 0; group < costs.size(); ++group) {
    const GroupMoment moment(*matrix.calibration, group);
    for (std::size_t k = 0; k < in; ++k) costs[group][k] = moment(k, k);
  }
  return costs;
}

double weighted_square(std::span<const float> values, const std::vector<double>& cost) {
  double sum = 0.0;
  for (std::size_t k = 0; k < values.size(); ++k) {
    sum += cost[k] * static_cast<double>(values[k]) * static_cast<double>(values[k]);
  }
  return sum;
}

/// Sums the cost of rows as they count, channels taken apart.
/// @param first row of the matrix of the first of them; the next ones follow as `place` says
template <class Place>
double cost_of_rows(const Matrix& matrix, std::span<const float> rows, Place&& place,
                    const std::vector<std::vector<double>>& costs) {
  double sum = 0.0;
  const std::size_t in = matrix.in_features;
  for (std::size_t i = 0; i < rows.size() / in; ++i) {
    const std::size_t row = place(i);
    const std::size_t group = matrix.calibration == nullptr ? 0 : matrix.calibration->group_of(row);
    sum += row_share(matrix, row) * weighted_square(rows.subspan(i * in, in), costs[group]);
  }
  return sum;
}

/// The same of all rows of the matrix.
double cost_of_matrix(const Matrix& matrix, const std::vector<std::vector<double>>& costs) {
  constexpr std::size_t rows_at_a_time = 64;
  double sum = 0.0;
  std::vector<float> rows;
  for (std::size_t first = 0; first < matrix.out_features; first += rows_at_a_time) {
    const std::size_t count = std::min(rows_at_a_time, matrix.out_features - first);
    rows.resize(count * matrix.in_features);
    matrix.read(first, rows);
    sum += cost_of_rows(
        matrix, rows, [&](std::size_t i) { return first + i; }, costs);
  }
  return sum;
}

}  // namespace

std::vector<TypeLoss> type_losses(const Matrix& matrix, ThreadPool& pool,
                                  std::size_t sampled_weights) {
  check(matrix);
  const std::vector<Candidate> candidates = candidates_for(matrix.in_features);
  const SampledRows sample = sample_rows(matrix, sampled_weights);
  const std::vector<std::vector<float>> errors = errors_of(matrix, sample, candidates, pool);
  const std::vector<std::vector<double>> costs = channel_costs(matrix);
  const auto place = [&](std::size_t i) { return sample.place[i]; };
  std::vector<double> error_costs;
  if (matrix.calibration != nullptr) {
    error_costs = costs_under_moments(matrix, sample, errors, pool);
  } else {
    for (const std::vector<float>& error : errors) {
      error_costs.push_back(cost_of_rows(matrix, error, place, costs));
    }
  }
  const double weights =
      static_cast<double>(matrix.out_features) * static_cast<double>(matrix.in_features);
  double whole = weights;  // what the loss would be of errors as large as the weights
  if (matrix.calibration != nullptr) {
    whole = matrix.calibration->has_gradients() ? 0.5 * cost_of_matrix(matrix, costs) : 1.0;
  }
  const double sampled = cost_of_rows(matrix, sample.weights, place, costs);
  std::vector<TypeLoss> losses;
  for (std::size_t c = 0; c < candidates.size(); ++c) {
    const nash_swarm::GgufType& type = *candidates[c].type;
    const double loss = sampled > 0.0 ? whole * std::max(error_costs[c], 0.0) / sampled : 0.0;
    // Weights too large for half precision rule a type out.
    if (!std::isfinite(loss)) continue;
    const std::uint64_t row_bytes =
        std::uint64_t{matrix.in_features} / type.block_weights * type.block_bytes;
    losses.push_back({type.name, row_bytes * matrix.out_features, loss});
  }
  return losses;
}

}  // namespace gguf
