#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/row_order.hpp>
#include <nash_swarm/rounding/nearest.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Squared length of the weights of a matrix.
struct WeightEnergy {
  double plain = 0.0;  ///< ‖W‖²
  double weighted =
      0.0;  ///< Σ_k H_kk ‖W_:k‖²: mean squared length of the output, inputs independent
};

template <Executor E>
WeightEnergy weight_energy(const std::string& name, TensorView<const float, 2> weights,
                           const InputMoment& moment, E& executor) {
  std::vector<WeightEnergy> panels(panel_count(weights.extent(0)));
  std::vector<double> mean_squares(weights.extent(1));
  for (std::size_t k = 0; k < mean_squares.size(); ++k) mean_squares[k] = moment.mean_square(k);
  executor.run(panels.size(), [&](std::size_t panel) {
    const std::size_t end = std::min(weights.extent(0), (panel + 1) * panel_rows);
    for (std::size_t row = panel * panel_rows; row < end; ++row) {
      check_weights(name, weights, row);
      for (std::size_t k = 0; k < weights.extent(1); ++k) {
        const double weight = static_cast<double>(weights(row, k));
        panels[panel].plain += weight * weight;
        panels[panel].weighted += mean_squares[k] * weight * weight;
      }
    }
  });
  WeightEnergy total;
  for (const WeightEnergy& energy : panels) {
    total.plain += energy.plain;
    total.weighted += energy.weighted;
  }
  return total;
}

/// Variance of the errors of every row at noise 1, in nats per unit of H.
inline std::vector<double> row_energies(TensorView<const float, 2> weights,
                                        const MatrixCalibration& calibration,
                                        std::size_t channels) {
  std::vector<double> rows(weights.extent(0));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    double square = 0.0;
    for (std::size_t k = 0; k < weights.extent(1); ++k) {
      square += static_cast<double>(weights(row, k)) * static_cast<double>(weights(row, k));
    }
    rows[row] = 0.5 * calibration.row_share(row) * square / static_cast<double>(channels);
  }
  return rows;
}

/// The same for every panel.
inline std::vector<double> panel_energies(std::span<const double> rows, const RowOrder& order) {
  std::vector<double> panels(panel_count(rows.size()));
  for (std::size_t position = 0; position < rows.size(); ++position) {
    panels[position / panel_rows] += rows[order.row_at(position)];
  }
  return panels;
}

/// The same without gradients: relative to the mean square of the output, times the number of
/// weights that are stored, padding included, and shared evenly.
inline std::vector<double> even_panel_energies(const WeightEnergy& energy, std::size_t rows) {
  const double relative = energy.weighted > 0.0 ? energy.plain / energy.weighted : 0.0;
  std::vector<double> panels(panel_count(rows));
  const double per_row =
      relative * static_cast<double>(panels.size() * panel_rows) / static_cast<double>(rows);
  for (std::size_t p = 0; p < panels.size(); ++p) {
    panels[p] = per_row * static_cast<double>(std::min(panel_rows, rows - p * panel_rows));
  }
  return panels;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
