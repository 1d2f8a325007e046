#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/format/row_order.hpp>
#include <nash_swarm/model/row_energy.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Bits for each weight of every panel, summed, when the loss of all is as large as it can be for a
/// given sum: half a bit for a factor of two in energy, from 0 bits up. Only differences between
/// orders mean anything.
inline double bits_of_panels(std::span<const double> panels) {
  // Of plans of 3 bits: where the energy is 4^3 times below the mean, no bits are left to save.
  constexpr double least_share = 1.0 / 64.0;
  const double sum = std::accumulate(panels.begin(), panels.end(), 0.0);
  const double least = least_share * sum / static_cast<double>(panels.size());
  double bits = 0.0;
  for (const double energy : panels) bits += 0.5 * std::log2(std::max(energy, least));
  return bits;
}

/// The rows of every group that shares moments in the order of falling energy, if that saves more
/// bits than the order takes; else the natural order. A panel has one error feedback, so rows stay
/// in their group.
/// @param energies [out], finite
/// @param channels of the basis
inline RowOrder sorted_rows(const std::string& name, std::span<const double> energies,
                            const MatrixCalibration& calibration, std::size_t channels) {
  std::vector<std::uint32_t> rows(energies.size());
  std::iota(rows.begin(), rows.end(), 0u);
  std::stable_sort(rows.begin(), rows.end(), [&](std::uint32_t a, std::uint32_t b) {
    const std::size_t group_a = calibration.group_of(a);
    const std::size_t group_b = calibration.group_of(b);
    return group_a != group_b ? group_a < group_b : energies[a] > energies[b];
  });
  std::vector<std::uint32_t> panels(rows.size());
  for (std::size_t position = 0; position < rows.size(); ++position) {
    panels[rows[position]] = static_cast<std::uint32_t>(position / panel_rows);
  }
  RowOrder sorted(name, panels);
  const double saved = static_cast<double>(panel_rows * channels) *
                       (bits_of_panels(panel_energies(energies, {})) -
                        bits_of_panels(panel_energies(energies, sorted)));
  const bool pays = saved > 8.0 * static_cast<double>(sorted.stored_bytes());
  return pays ? sorted : RowOrder();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
