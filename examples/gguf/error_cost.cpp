#include "error_cost.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/float_product.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace gguf {
namespace {

using nash_swarm::Error;
using nash_swarm::GroupMoment;
using nash_swarm::TensorView;

constexpr std::size_t band_channels = 64;  // whose moments are laid out at a time

void check(const Matrix& matrix) {
  if (matrix.out_features == 0 || matrix.in_features == 0) throw Error(matrix.name, "no weights");
  const auto check_channels = [&](const std::string& what, std::size_t channels) {
    if (channels == matrix.in_features) return;
    throw Error(matrix.name, what + " of " + std::to_string(channels) +
                                 " channels for a matrix of " + std::to_string(matrix.in_features));
  };
  if (!matrix.imatrix.empty()) check_channels("an imatrix", matrix.imatrix.size());
  if (matrix.calibration == nullptr) return;
  check_channels("moments", matrix.calibration->inputs().in_features());
  if (!matrix.calibration->fits_rows(matrix.out_features)) {
    throw Error(matrix.name, "gradients of another matrix");
  }
}

/// H between all channels and those of a band, [in, width].
std::vector<float> moments_of_band(const GroupMoment& moment, std::size_t first,
                                   std::size_t width) {
  std::vector<float> moments(moment.in_features() * width);
  for (std::size_t k = 0; k < moment.in_features(); ++k) {
    for (std::size_t j = 0; j < width; ++j) {
      moments[k * width + j] = static_cast<float>(moment(k, first + j));
    }
  }
  return moments;
}

}  // namespace

ErrorCost::ErrorCost(const Matrix& matrix) : matrix_(matrix) {
  check(matrix);
  const std::size_t in = matrix.in_features;
  if (matrix.calibration == nullptr) {
    diagonal_.assign(1, std::vector<double>(in, 1.0));
    std::copy(matrix.imatrix.begin(), matrix.imatrix.end(), diagonal_[0].begin());
    return;
  }
  diagonal_.assign(matrix.calibration->groups(), std::vector<double>(in));
  for (std::size_t group = 0; group < diagonal_.size(); ++group) {
    const GroupMoment moment(*matrix.calibration, group);
    for (std::size_t k = 0; k < in; ++k) diagonal_[group][k] = moment(k, k);
  }
}

double ErrorCost::share(std::size_t row) const {
  return matrix_.calibration == nullptr ? 1.0 : matrix_.calibration->row_share(row);
}

std::size_t ErrorCost::group_of(std::size_t row) const {
  return matrix_.calibration == nullptr ? 0 : matrix_.calibration->group_of(row);
}

double ErrorCost::diagonal(const Rows& rows) const {
  const std::size_t in = matrix_.in_features;
  double cost = 0.0;
  for (std::size_t i = 0; i < rows.place.size(); ++i) {
    const std::vector<double>& channels = diagonal_[group_of(rows.place[i])];
    double sum = 0.0;
    for (std::size_t k = 0; k < in; ++k) {
      const auto value = static_cast<double>(rows.values[i * in + k]);
      sum += channels[k] * value * value;
    }
    cost += share(rows.place[i]) * sum;
  }
  return cost;
}

double ErrorCost::diagonal_of_weights() const {
  constexpr std::size_t rows_at_a_time = 64;
  double cost = 0.0;
  std::vector<std::size_t> place;
  std::vector<float> rows;
  for (std::size_t first = 0; first < matrix_.out_features; first += rows_at_a_time) {
    place.resize(std::min(rows_at_a_time, matrix_.out_features - first));
    std::iota(place.begin(), place.end(), first);
    rows.resize(place.size() * matrix_.in_features);
    matrix_.read(first, rows);
    cost += diagonal({place, rows});
  }
  return cost;
}

std::vector<double> ErrorCost::full(std::span<const std::size_t> place,
                                    const std::vector<std::vector<float>>& errors,
                                    nash_swarm::ThreadPool& pool) const {
  if (matrix_.calibration == nullptr) {
    std::vector<double> costs;
    for (const std::vector<float>& error : errors) costs.push_back(diagonal({place, error}));
    return costs;
  }
  const std::size_t bands = (matrix_.in_features + band_channels - 1) / band_channels;
  std::vector<std::vector<double>> parts(diagonal_.size() * bands,
                                         std::vector<double>(errors.size()));
  pool.run(parts.size(), [&](std::size_t task) {
    add_band(task / bands, task % bands, place, errors, parts[task]);
  });
  std::vector<double> costs(errors.size());
  for (const std::vector<double>& part : parts) {
    for (std::size_t kind = 0; kind < costs.size(); ++kind) costs[kind] += part[kind];
  }
  return costs;
}

/// Adds to the costs of the rows in a group what falls to the channels of a band.
void ErrorCost::add_band(std::size_t group, std::size_t band, std::span<const std::size_t> place,
                         const std::vector<std::vector<float>>& errors,
                         std::vector<double>& costs) const {
  const auto first_row = static_cast<std::size_t>(
      std::partition_point(place.begin(), place.end(),
                           [&](std::size_t row) { return group_of(row) < group; }) -
      place.begin());
  std::size_t rows = 0;
  while (first_row + rows < place.size() && group_of(place[first_row + rows]) == group) ++rows;
  if (rows == 0) return;
  const std::size_t in = matrix_.in_features;
  const std::size_t first = band * band_channels;
  const std::size_t width = std::min(band_channels, in - first);
  const std::vector<float> moments =
      moments_of_band(GroupMoment(*matrix_.calibration, group), first, width);
  std::vector<float> products(rows * width);
  for (std::size_t kind = 0; kind < errors.size(); ++kind) {
    const TensorView<const float, 2> error(errors[kind].data() + first_row * in, {rows, in});
    std::fill(products.begin(), products.end(), 0.0f);
    nash_swarm::add_product(error, TensorView<const float, 2>(moments.data(), {in, width}),
                            TensorView<float, 2>(products.data(), {rows, width}));
    for (std::size_t i = 0; i < rows; ++i) {
      double cost = 0.0;
      for (std::size_t j = 0; j < width; ++j) {
        cost +=
            static_cast<double>(error(i, first + j)) * static_cast<double>(products[i * width + j]);
      }
      costs[kind] += share(place[first_row + i]) * cost;
    }
  }
}

}  // namespace gguf
