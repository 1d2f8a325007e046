#include "transformer/grouped_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>

#include "transformer/eigen_view.hpp"

namespace transformer {
namespace {

/// Scales below the smallest half would store as 0 and lose the group.
constexpr float smallest_half = 5.9604645e-8f;

GroupGrid grid_of_span(float smallest, float largest, int largest_code) {
  const float step = (largest - smallest) / static_cast<float>(largest_code);
  const float scale =
      nash_swarm::to_float(nash_swarm::to_half(std::clamp(step, smallest_half, 65504.0f)));
  const float zero =
      std::clamp(std::round(-smallest / scale), 0.0f, static_cast<float>(largest_code));
  return {scale, zero};
}

}  // namespace

std::uint8_t GroupGrid::code(float weight, int largest_code) const noexcept {
  const float position = std::clamp(weight / scale + zero, 0.0f, static_cast<float>(largest_code));
  return static_cast<std::uint8_t>(position + 0.5f);
}

GroupGrid fit_grid(std::span<const float> weights, std::span<const float> importance,
                   int largest_code) {
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  const float smallest = std::min(0.0f, *low);
  const float largest = std::max(0.0f, *high);
  GroupGrid best;
  double least = std::numeric_limits<double>::infinity();
  for (int step = 0; step <= 30; ++step) {
    const float share = 1.0f - 0.02f * static_cast<float>(step);
    const GroupGrid grid = grid_of_span(share * smallest, share * largest, largest_code);
    double error = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const double gap = static_cast<double>(weights[i]) -
                         static_cast<double>(grid.value(grid.code(weights[i], largest_code)));
      error += gap * gap * (importance.empty() ? 1.0 : static_cast<double>(importance[i]));
    }
    if (error < least) {
      least = error;
      best = grid;
    }
  }
  return best;
}

GroupedMatrix::GroupedMatrix(std::shared_ptr<const WeightSource> original, unsigned bits,
                             std::size_t group)
    : DerivedWeightSource(std::move(original)),
      bits_(bits),
      group_(group),
      codes_(out_features() * in_features()),
      grids_(out_features() * groups()) {}

void GroupedMatrix::read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const {
  check_rows(begin, rows);
  const std::size_t in = in_features();
  for (std::size_t i = 0; i < rows.extent(0); ++i) {
    const std::uint8_t* const codes = codes_.data() + (begin + i) * in;
    const GroupGrid* const grids = grids_.data() + (begin + i) * groups();
    for (std::size_t j = 0; j < in; ++j) {
      const std::size_t channel = order.empty() ? j : order[j];
      const float value = grids[j / group_].value(codes[j]);
      rows(i, channel) = divisor.empty() ? value : value / divisor[channel];
    }
  }
}

std::uint64_t GroupedMatrix::stored_bytes(unsigned zero_bits) const noexcept {
  const std::uint64_t per_row = (std::uint64_t{in_features()} * bits_ + 7) / 8 + 2 * groups() +
                                (groups() * zero_bits + 7) / 8;
  return out_features() * per_row + 2 * (order.size() + divisor.size());
}

FloatMatrix read_finite(const WeightSource& source, nash_swarm::ThreadPool& pool) {
  FloatMatrix weights(source.out_features(), source.in_features());
  for_each_slice(source, pool, [&](std::size_t begin, std::size_t end) {
    const auto rows = weights.view().slice(0, begin, end);
    source.read_rows(begin, rows);
    largest_magnitude(source, begin, rows);
  });
  return weights;
}

Eigen::MatrixXd dense(const nash_swarm::InputMoment& moment) {
  const Eigen::Index in = eigen_index(moment.in_features());
  return Eigen::MatrixXd::NullaryExpr(in, in, [&](Eigen::Index a, Eigen::Index b) {
    return moment(static_cast<std::size_t>(a), static_cast<std::size_t>(b));
  });
}

double output_error(const WeightSource& quantized, const FloatMatrix& weights,
                    const Eigen::MatrixXd& moment, nash_swarm::ThreadPool& pool) {
  const std::size_t out = quantized.out_features();
  std::vector<double> rows(out);
  const Eigen::MatrixXf h = moment.cast<float>();
  for_each_slice(quantized, pool, [&](std::size_t begin, std::size_t end) {
    FloatMatrix decoded = read_slice(quantized, begin, end);
    auto gap = eigen_matrix(decoded.view());
    gap -= eigen_matrix(weights.view().slice(0, begin, end));
    const Eigen::MatrixXf product = gap * h;
    for (std::size_t r = begin; r < end; ++r) {
      const auto at = eigen_index(r - begin);
      rows[r] = static_cast<double>(product.row(at).dot(gap.row(at)));
    }
  });
  return std::accumulate(rows.begin(), rows.end(), 0.0);
}

void check_grid(const std::string& method, unsigned bits, std::size_t group) {
  using nash_swarm::Error;
  if (bits < 2 || bits > 8) throw Error(method, std::to_string(bits) + " bits are not 2 to 8");
  if (group == 0) throw Error(method, "groups of 0 weights", "give the group at least 1");
}

std::string grid_label(const std::string& method, unsigned bits, std::size_t group) {
  return method + " " + std::to_string(bits) + " bits, groups of " + std::to_string(group);
}

}  // namespace transformer
