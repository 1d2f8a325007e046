#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nash_swarm/calibration/input_moment.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

namespace nash_swarm {

/// What a matrix costs and loses in every format of `format_table`: a row of the game.
struct MatrixPayoff {
  std::array<std::uint64_t, format_count> bytes{};  ///< all-in bytes of the matrix
  std::array<double, format_count> loss{};          ///< expected loss
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Squared length of every row and, weighted with the input moments, of the whole matrix.
struct WeightEnergy {
  double plain = 0.0;     ///< ‖W‖²
  double weighted = 0.0;  ///< Σ_k H_kk ‖W_:k‖²: mean squared length of the output, inputs independent
};

template <Executor E>
WeightEnergy weight_energy(const std::string& name, TensorView<const float, 2> weights,
                           const InputMoment& moment, E& executor) {
  constexpr std::size_t rows_per_task = 64;
  const std::size_t tasks = (weights.extent(0) + rows_per_task - 1) / rows_per_task;
  std::vector<WeightEnergy> partial(tasks);
  std::vector<double> mean_squares(weights.extent(1));
  for (std::size_t k = 0; k < mean_squares.size(); ++k) mean_squares[k] = moment.mean_square(k);
  executor.run(tasks, [&](std::size_t task) {
    const std::size_t end = std::min(weights.extent(0), (task + 1) * rows_per_task);
    for (std::size_t row = task * rows_per_task; row < end; ++row) {
      for (std::size_t k = 0; k < weights.extent(1); ++k) {
        const double weight = static_cast<double>(weights(row, k));
        partial[task].plain += weight * weight;
        partial[task].weighted += mean_squares[k] * weight * weight;
      }
      if (!std::isfinite(partial[task].weighted)) {
        throw Error(name, "NaN or infinity in row " + std::to_string(row), "repair the weights");
      }
    }
  });
  WeightEnergy total;
  for (const WeightEnergy& energy : partial) {
    total.plain += energy.plain;
    total.weighted += energy.weighted;
  }
  return total;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Bytes and expected loss of a matrix [out, in] in every format, before anything is rounded.
///
/// In a rotated basis rounding errors are white: their variance in a row is the mean square of the
/// row times the format's noise on Gaussian weights. The loss is the mean squared error of the
/// output under the input moments relative to the mean square of the output, times `importance`.
/// @param importance how much the model suffers from a relative error of this output
/// @throws Error for NaN or infinity in the weights, or shapes that do not fit
template <Executor E>
MatrixPayoff matrix_payoff(const std::string& name, TensorView<const float, 2> weights,
                           const InputMoment& moment, const InputBasis& basis, double importance,
                           E& executor) {
  if (moment.in_features() != weights.extent(1) || basis.in_features() != weights.extent(1)) {
    throw Error(name, "moments of " + std::to_string(moment.in_features()) + " channels for a matrix of " +
                          std::to_string(weights.extent(1)));
  }
  const detail::WeightEnergy energy = detail::weight_energy(name, weights, moment, executor);
  const double noise =
      energy.plain * moment.trace() / static_cast<double>(basis.padded_features());
  const double relative = energy.weighted > 0.0 ? noise / energy.weighted : 0.0;
  MatrixPayoff payoff;
  for (std::size_t f = 0; f < format_count; ++f) {
    const CellMap cells(panel_count(weights.extent(0)), block_count(weights.extent(1)),
                        format_table[f].id);
    payoff.bytes[f] = stored_bytes(weights.extent(0), cells);
    payoff.loss[f] = importance * relative * format_table[f].gaussian_noise;
  }
  return payoff;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
