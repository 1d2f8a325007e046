#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>

#include "transformer/baselines.hpp"
#include "transformer/grouped_matrix.hpp"

namespace transformer {
namespace {

float as_half(float value) {
  return nash_swarm::to_float(nash_swarm::to_half(value));
}

/// The proximal operator of β⁻¹·|x|^0.7 in its generalised soft-threshold form.
float shrink(float x, float beta) {
  const float magnitude = std::fabs(x);
  if (magnitude == 0.0f) return 0.0f;
  return std::copysign(std::max(0.0f, magnitude - std::pow(magnitude, -0.3f) / beta), x);
}

/// Half-quadratic search for the zero point, the scale kept (HQQ, Badri and Shaji 2023, section 2):
/// in turns the error that is to be sparse is shrunk, and the zero point is the mean that fits.
GroupGrid half_quadratic_grid(std::span<const float> weights, int largest_code) {
  const auto [low, high] = std::minmax_element(weights.begin(), weights.end());
  GroupGrid grid;
  const float step = (*high - *low) / static_cast<float>(largest_code);
  grid.scale = as_half(std::clamp(step, 5.9604645e-8f, 65504.0f));
  grid.zero = as_half(std::clamp(-*low / grid.scale, -65504.0f, 65504.0f));
  GroupGrid best = grid;
  double least = -1.0;
  float beta = 10.0f;
  for (int round = 0; round < 20; ++round, beta *= 1.01f) {
    double error = 0.0;
    double zero = 0.0;
    for (const float weight : weights) {
      const float code = static_cast<float>(grid.code(weight, largest_code));
      const float gap = weight - grid.scale * (code - grid.zero);
      error += static_cast<double>(std::fabs(gap));
      zero += static_cast<double>(code - (weight - shrink(gap, beta)) / grid.scale);
    }
    if (least >= 0.0 && error >= least) break;
    least = error;
    best = grid;
    grid.zero = as_half(static_cast<float>(zero / static_cast<double>(weights.size())));
  }
  return best;
}

}  // namespace

Baseline hqq(unsigned bits, std::size_t group) {
  check_grid("hqq", bits, group);
  Baseline baseline;
  baseline.method = "hqq";
  baseline.label = grid_label("hqq", bits, group);
  baseline.group = group;
  baseline.quantize = [bits, group](const std::shared_ptr<const WeightSource>& original,
                                    nash_swarm::ThreadPool& pool) -> QuantizedBaseline {
    auto matrix = std::make_shared<GroupedMatrix>(original, bits, group);
    for_each_slice(*original, pool, [&](std::size_t begin, std::size_t end) {
      const FloatMatrix rows = read_slice(*original, begin, end);
      largest_magnitude(*original, begin, rows.view());
      for (std::size_t row = begin; row < end; ++row) {
        const std::span<const float> weights(
            rows.view().data() + (row - begin) * original->in_features(), original->in_features());
        for (std::size_t g = 0; g < matrix->groups(); ++g) {
          const std::size_t first = g * group;
          const auto part = weights.subspan(first, std::min(group, weights.size() - first));
          const GroupGrid grid = half_quadratic_grid(part, matrix->largest_code());
          matrix->grids(row)[g] = grid;
          for (std::size_t i = 0; i < part.size(); ++i) {
            matrix->codes(row)[first + i] = grid.code(part[i], matrix->largest_code());
          }
        }
      }
    });
    return {matrix, matrix->stored_bytes(16)};
  };
  return baseline;
}

}  // namespace transformer
