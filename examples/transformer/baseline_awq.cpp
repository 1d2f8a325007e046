#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/core/half.hpp>

#include "transformer/baselines.hpp"
#include "transformer/best_by_output.hpp"
#include "transformer/grouped_matrix.hpp"

namespace transformer {
namespace {

/// Root mean square of every channel to the power of `exponent`, scaled so that the smallest and
/// the largest lie symmetrically about 1, in binary16.
std::vector<float> channel_scales(const Eigen::MatrixXd& moment, double exponent) {
  const Eigen::Index in = moment.rows();
  std::vector<double> powers(static_cast<std::size_t>(in));
  for (std::size_t k = 0; k < powers.size(); ++k) {
    const auto at = static_cast<Eigen::Index>(k);
    powers[k] = std::max(1e-4, std::pow(std::sqrt(std::max(0.0, moment(at, at))), exponent));
  }
  const auto [least, most] = std::minmax_element(powers.begin(), powers.end());
  const double centre = std::sqrt(*least * *most);
  std::vector<float> scales(powers.size());
  std::transform(powers.begin(), powers.end(), scales.begin(), [centre](double power) {
    return nash_swarm::to_float(nash_swarm::to_half(static_cast<float>(power / centre)));
  });
  return scales;
}

std::shared_ptr<GroupedMatrix> quantize(const std::shared_ptr<const WeightSource>& original,
                                        const FloatMatrix& weights, const Eigen::MatrixXd& moment,
                                        unsigned bits, std::size_t group, double exponent,
                                        nash_swarm::ThreadPool& pool) {
  auto matrix = std::make_shared<GroupedMatrix>(original, bits, group);
  matrix->divisor = channel_scales(moment, exponent);
  const std::size_t in = original->in_features();
  std::vector<float> importance(in);  // of an error in the scaled channel
  for (std::size_t k = 0; k < in; ++k) {
    const auto at = static_cast<Eigen::Index>(k);
    importance[k] = static_cast<float>(moment(at, at)) / (matrix->divisor[k] * matrix->divisor[k]);
  }
  for_each_slice(*original, pool, [&](std::size_t begin, std::size_t end) {
    std::vector<float> scaled(in);
    for (std::size_t row = begin; row < end; ++row) {
      for (std::size_t k = 0; k < in; ++k) scaled[k] = weights.view()(row, k) * matrix->divisor[k];
      for (std::size_t first = 0; first < in; first += group) {
        const std::size_t count = std::min(group, in - first);
        const auto part = std::span<const float>(scaled).subspan(first, count);
        const GroupGrid grid = fit_grid(
            part, std::span<const float>(importance).subspan(first, count), matrix->largest_code());
        matrix->grids(row)[first / group] = grid;
        for (std::size_t i = 0; i < count; ++i) {
          matrix->codes(row)[first + i] = grid.code(part[i], matrix->largest_code());
        }
      }
    }
  });
  return matrix;
}

}  // namespace

Baseline awq(unsigned bits, std::size_t group, InputMoments moments) {
  std::vector<double> exponents;
  for (int step = 0; step < 20; ++step) exponents.push_back(0.05 * step);
  return best_by_output("awq", bits, group, std::move(moments), std::move(exponents), quantize);
}

}  // namespace transformer
