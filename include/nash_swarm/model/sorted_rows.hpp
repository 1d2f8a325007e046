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

/// The rows of every group that shares moments in the order of falling energy. A panel has one
/// error feedback, so rows stay in their group.
inline RowOrder order_of_falling(const std::string& name, std::span<const double> energies,
                                 const MatrixCalibration& calibration) {
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
  return RowOrder(name, panels);
}

/// Bits for each weight of every panel, summed, that a given loss takes: half a bit for a factor of
/// two in energy, from 0 bits up. Only differences between orders mean anything.
/// @param known energies of the panels by which bits are given out
/// @param real energies by which they lose
inline double bits_of_panels(std::span<const double> known, std::span<const double> real) {
  // Of plans of 3 bits: where the energy is 4^3 times below the mean, no bits are left to save.
  constexpr double least_share = 1.0 / 64.0;
  const auto count = static_cast<double>(known.size());
  const double mean = std::accumulate(known.begin(), known.end(), 0.0) / count;
  double bits = 0.0;
  double loss = 0.0;
  for (std::size_t p = 0; p < known.size(); ++p) {
    const double energy = std::max(known[p], least_share * mean);
    bits += 0.5 * std::log2(energy);
    loss += real[p] / energy;
  }
  return bits + count * 0.5 * std::log2(loss / count);
}

/// The energies as far as one half of the sequences tells.
inline std::vector<double> half_energies(std::span<const double> energies,
                                         const MatrixCalibration& calibration, std::size_t half) {
  std::vector<double> own(energies.begin(), energies.end());
  if (!calibration.has_gradients()) return own;
  const std::vector<double> shares = calibration.row_shares(half);
  for (std::size_t row = 0; row < own.size(); ++row) {
    own[row] *= shares[row] / calibration.row_share(row);
  }
  return own;
}

/// The rows of every group in the order of falling energy, if that saves more bits than the order
/// takes; else the natural order.
///
/// Energies are estimates, and sorting by them sorts their errors too: what it saves by itself is
/// flattery. So each half of the sequences sorts and gives out bits, and the other half tells what
/// that loses. (Bundled model, 16,384 tokens: sorting seems to save .275 bits per weight of the
/// token embedding, whose natural order is nearly that of frequency, and costs .116 on other text;
/// in c_attn it saves .101, in mlp.c_fc .052.)
/// @param energies [out], finite
/// @param channels of the basis
inline RowOrder sorted_rows(const std::string& name, std::span<const double> energies,
                            const MatrixCalibration& calibration, std::size_t channels) {
  if (calibration.has_gradients() && calibration.gradients()->sequences() < 2) return {};
  const std::vector<double> halves[] = {half_energies(energies, calibration, 0),
                                        half_energies(energies, calibration, 1)};
  double saved = 0.0;  // bits for each weight of every panel, summed
  for (std::size_t half = 0; half < 2; ++half) {
    const std::vector<double>& known = halves[half];
    const std::vector<double>& real = halves[1 - half];
    const RowOrder sorted = order_of_falling(name, known, calibration);
    saved += 0.5 * (bits_of_panels(panel_energies(known, {}), panel_energies(real, {})) -
                    bits_of_panels(panel_energies(known, sorted), panel_energies(real, sorted)));
  }
  RowOrder sorted = order_of_falling(name, energies, calibration);
  const bool pays = static_cast<double>(panel_rows * channels) * saved >
                    8.0 * static_cast<double>(sorted.stored_bytes());
  return pays ? sorted : RowOrder();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
