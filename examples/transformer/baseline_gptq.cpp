#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <nash_swarm/core/error.hpp>

#include "transformer/baselines.hpp"
#include "transformer/best_by_output.hpp"
#include "transformer/eigen_view.hpp"
#include "transformer/grouped_matrix.hpp"

namespace transformer {
namespace {

using Moment = Eigen::MatrixXd;

/// Channels by descending moment ("act-order"); equal ones in their order.
std::vector<std::uint32_t> channels_by_moment(const Moment& moment) {
  std::vector<std::uint32_t> order(static_cast<std::size_t>(moment.rows()));
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return moment(a, a) > moment(b, b); });
  return order;
}

/// Upper Cholesky factor of the inverse of the damped moment in a given order of channels, rows
/// divided by their diagonal: row j says how an error of channel j is spread over the later ones.
RowMajorMatrix feedback_factor(const Moment& moment, const std::vector<std::uint32_t>& order,
                               double damping) {
  const Eigen::Index in = moment.rows();
  Moment damped(in, in);
  for (Eigen::Index i = 0; i < in; ++i) {
    for (Eigen::Index j = 0; j < in; ++j) {
      damped(i, j) = moment(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
    }
  }
  const double mean = damped.trace() / static_cast<double>(in);
  damped.diagonal().array() += damping * (mean > 0.0 ? mean : 1.0);
  const Moment inverse = damped.llt().solve(Moment::Identity(in, in));
  Moment factor = inverse.llt().matrixU();
  for (Eigen::Index i = 0; i < in; ++i) factor.row(i) /= factor(i, i);
  return factor.cast<float>();
}

/// Quantizes one row channel after channel, each error moved onto the channels that follow.
void round_row(std::span<float> weights, const RowMajorMatrix& factor, GroupedMatrix& matrix,
               std::size_t row) {
  for (std::size_t j = 0; j < weights.size(); ++j) {
    GroupGrid& grid = matrix.grids(row)[j / matrix.group()];
    if (j % matrix.group() == 0) {
      grid = fit_grid(weights.subspan(j, std::min(matrix.group(), weights.size() - j)), {},
                      matrix.largest_code());
    }
    const std::uint8_t code = grid.code(weights[j], matrix.largest_code());
    matrix.codes(row)[j] = code;
    const float error = weights[j] - grid.value(code);
    const auto later = eigen_index(weights.size() - j - 1);
    eigen_row(weights.subspan(j + 1)) -=
        error * factor.row(eigen_index(j)).tail(later).transpose().array();
  }
}

std::shared_ptr<GroupedMatrix> quantize_with_feedback(
    const std::shared_ptr<const WeightSource>& original, const FloatMatrix& weights,
    const Moment& moment, unsigned bits, std::size_t group, double damping,
    nash_swarm::ThreadPool& pool) {
  auto matrix = std::make_shared<GroupedMatrix>(original, bits, group);
  matrix->order = channels_by_moment(moment);
  const RowMajorMatrix factor = feedback_factor(moment, matrix->order, damping);
  const std::size_t in = original->in_features();
  for_each_slice(*original, pool, [&](std::size_t begin, std::size_t end) {
    std::vector<float> row(in);
    for (std::size_t r = begin; r < end; ++r) {
      for (std::size_t j = 0; j < in; ++j) row[j] = weights.view()(r, matrix->order[j]);
      round_row(row, factor, *matrix, r);
    }
  });
  return matrix;
}

}  // namespace

Baseline gptq(unsigned bits, std::size_t group, InputMoments moments) {
  return best_by_output("gptq", bits, group, std::move(moments), {0.001, 0.003, 0.01, 0.03, 0.1},
                        quantize_with_feedback);
}

}  // namespace transformer
