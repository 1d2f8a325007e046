#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Importance of one row's weights w among their neighbours n above, below, left and right:
/// |w|·Π(1 + |n|), infinite if that is beyond floats. Needs no data.
/// @param row [in]
/// @param above the row before it [in]; empty for none
/// @param below the row after it [in]; empty for none
/// @param importance receives [in]
inline void neighbour_importance(std::span<const float> above, std::span<const float> row,
                                 std::span<const float> below,
                                 std::span<float> importance) noexcept {
  constexpr float largest = std::numeric_limits<float>::max();
  const auto factor = [](std::span<const float> weights, std::size_t k) {
    return k < weights.size() ? 1.0f + std::abs(weights[k]) : 1.0f;
  };
  for (std::size_t k = 0; k < row.size(); ++k) {
    const float left = k > 0 ? factor(row, k - 1) : 1.0f;
    const float crowd = (factor(above, k) * factor(below, k)) * (left * factor(row, k + 1));
    // Bounded, since zero times infinity would be no number.
    importance[k] = std::abs(row[k]) * std::min(crowd, largest);
  }
}

/// How much a matrix matters as far as its weights alone tell, for hosts without gradients: the
/// root mean square of their importances, as the `importance` of `Model::add`.
///
///     model.add(name, weights, InputMoment(name, in), executor,
///               data_free_importance(weights, executor));
///
/// Without it an error counts by its share of the matrix's output, whatever that does to the model;
/// with it, matrices of large weights count more. (KLD of the bundled GPT-2, LLaMA and OPT on 8,192
/// tokens of valid.txt, plans with tables, without and with it; moments of inputs known, 2.5 bits:
/// .141 .046 .039 and .097 .049 .026; 3 bits: .047 .018 .018 and .045 .018 .010; no data, 2.5 bits:
/// .184 .103 .111 and .115 .055 .041; 3 bits: .053 .031 .024 and .058 .032 .028.)
/// @param weights [out, in]
/// @return 0 or more; NaN if a weight is, which `Model::add` refuses by its place
template <Executor E>
double data_free_importance(TensorView<const float, 2> weights, E& executor) {
  const std::size_t rows = weights.extent(0);
  const std::size_t columns = weights.extent(1);
  if (rows == 0 || columns == 0) return 0.0;
  std::vector<double> sums(rows);
  constexpr std::size_t band = 64;
  executor.run((rows + band - 1) / band, [&](std::size_t task) {
    const std::size_t first = task * band;
    const std::size_t last = std::min(rows, first + band);
    std::vector<float> above, row(columns), below, importance(columns);
    const auto read = [&](std::size_t index, std::vector<float>& target) {
      target.resize(columns);
      for (std::size_t k = 0; k < columns; ++k) target[k] = weights(index, k);
    };
    if (first > 0) read(first - 1, above);
    read(first, row);
    for (std::size_t r = first; r < last; ++r) {
      below.clear();
      if (r + 1 < rows) read(r + 1, below);
      neighbour_importance(above, row, below, importance);
      for (const float value : importance) {
        const auto finite = static_cast<double>(std::min(value, std::numeric_limits<float>::max()));
        sums[r] += finite * finite;
      }
      above.swap(row);
      row.swap(below);
    }
  });
  double sum = 0.0;
  for (const double row : sums) sum += row;
  return std::sqrt(sum / static_cast<double>(rows) / static_cast<double>(columns));
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
