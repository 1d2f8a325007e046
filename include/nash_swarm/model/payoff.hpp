#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/formats.hpp>
#include <nash_swarm/format/input_basis.hpp>
#include <nash_swarm/format/row_order.hpp>

#if NASH_SWARM_DEFINITIONS
#include <nash_swarm/model/row_energy.hpp>
#include <nash_swarm/model/sorted_rows.hpp>
#include <nash_swarm/rounding/nearest.hpp>
#endif

namespace nash_swarm {

/// What the model lost, in nats, with one matrix alone quantized, all of it in one format.
struct LoneLoss {
  std::size_t format = 0;  ///< place in `format_table`
  double loss = 0.0;
};

/// What the cells of a matrix lose in every format, in factors: the loss of a cell is the product
/// of a number of its panel, a number of its block in the panel's group, and the noise of the
/// format.
struct MatrixPayoff {
  RowOrder order;                    ///< of the rows in the panels
  std::vector<double> panel_energy;  ///< [panels] variance of the errors at noise 1, summed over
                                     ///< the rows as they count
  std::vector<std::size_t> panel_group;           ///< [panels] group of rows
  std::vector<std::vector<double>> block_moment;  ///< [groups][blocks] cost of an error of the
                                                  ///< block's channels, summed
  std::array<double, format_count> noise{};       ///< mean squared error after feedback, in every
                                                  ///< format, of weights of mean square 1

  /// Expected loss of one cell.
  /// @param format place in `format_table`
  NASH_SWARM_KEYED double cell_loss(std::size_t panel, std::size_t block,
                                    std::size_t format) const noexcept {
    return panel_energy[panel] * block_moment[panel_group[panel]][block] * noise[format];
  }

  /// Expected loss of the matrix if all its cells have one format.
  NASH_SWARM_KEYED double loss(std::size_t format) const noexcept {
    double sum = 0.0;
    for (std::size_t p = 0; p < panel_energy.size(); ++p) {
      for (std::size_t b = 0; b < block_moment.front().size(); ++b) sum += cell_loss(p, b, format);
    }
    return sum;
  }

  /// Multiplies what is expected by measured ÷ expected: large errors harm more than in proportion,
  /// above all inside of attention, so the factor is linear in the noise between formats that were
  /// measured, and constant beyond them.
  /// @param measured at least one, whose losses and noises are above 0
  NASH_SWARM_KEYED void correct(std::span<const LoneLoss> measured) {
    std::vector<std::pair<double, double>> factors;  // noise, factor
    for (const LoneLoss& lone : measured) {
      factors.emplace_back(noise[lone.format], lone.loss / loss(lone.format));
    }
    std::sort(factors.begin(), factors.end());
    for (double& own : noise) {
      std::size_t next = 0;
      while (next < factors.size() && factors[next].first < own) ++next;
      if (next == 0 || next == factors.size()) {
        own *= factors[next == 0 ? 0 : next - 1].second;
        continue;
      }
      const auto [low, low_factor] = factors[next - 1];
      const auto [high, high_factor] = factors[next];
      own *= low_factor + (own - low) / (high - low) * (high_factor - low_factor);
    }
  }
};

#if NASH_SWARM_DEFINITIONS
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// What a squared error of the channels of every block costs after feedback, summed.
/// @param feedback nullptr for none
/// @param unknown what an error costs if there is none
inline std::vector<double> block_moments(const ErrorFeedback* feedback, std::size_t channels,
                                         double unknown = 1.0) {
  std::vector<double> blocks(channels / block_channels);
  for (std::size_t j = 0; j < channels; ++j) {
    blocks[j / block_channels] += feedback == nullptr ? unknown : feedback->weight(j);
  }
  return blocks;
}

inline double squared_length(std::span<const float> values) noexcept {
  double sum = 0.0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return sum;
}

/// The noise of some formats on a sample of the panels, rounded as they will be: at few bits errors
/// that feedback moves on are so large that they widen the targets of what follows.
/// @param formats places in `format_table`
/// @return [format_count] relative to the noise of the formats on Gaussian weights; 1 for others
template <Executor E>
std::array<double, format_count> measured_widening(
    const std::string& name, TensorView<const float, 2> weights, const InputBasis& basis,
    const PanelFeedback& feedback, const RowOrder& order, const std::vector<std::size_t>& formats,
    E& executor) {
  constexpr std::size_t sampled_panels = 4;
  const std::size_t panels = weights.extent(0) / panel_rows;  // whole ones
  const std::size_t count = std::min(sampled_panels, panels);
  const std::size_t channels = basis.padded_features();
  std::vector<double> units(count);
  std::vector<std::vector<double>> losses(count, std::vector<double>(formats.size()));
  executor.run(count, [&](std::size_t i) {
    const std::size_t panel = (2 * i + 1) * panels / (2 * count);
    const ErrorFeedback* own = feedback.of_panel(panel);
    if (own == nullptr) return;
    AlignedBuffer<float> rotated(panel_rows * channels);
    rotate_panel(name, weights, order, panel * panel_rows, panel_rows, basis, rotated);
    const std::vector<double> blocks = block_moments(own, channels);
    units[i] = squared_length({rotated.data(), rotated.size()}) / static_cast<double>(channels) *
               std::accumulate(blocks.begin(), blocks.end(), 0.0);
    AlignedBuffer<std::uint16_t> codes(panel_rows * channels);
    for (std::size_t f = 0; f < formats.size(); ++f) {
      const std::vector<FormatId> cells(channels / block_channels, format_table[formats[f]].id);
      BFloat16 scales[panel_rows];
      losses[i][f] = round_panel_codes(rotated.data(), cells, own, codes.data(), scales);
    }
  });
  std::array<double, format_count> widening;
  widening.fill(1.0);
  for (std::size_t f = 0; f < formats.size(); ++f) {
    // Every panel counts alike, whatever the moments of its group.
    double sum = 0.0;
    double measured = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
      if (!(units[i] > 0.0)) continue;
      sum += losses[i][f] / (units[i] * format_table[formats[f]].gaussian_noise);
      measured += 1.0;
    }
    if (measured > 0.0) widening[formats[f]] = sum / measured;
  }
  return widening;
}

/// Formats that are measured, by falling noise. Scalar ones are all measured. What widens targets
/// is the size of errors and not the family, so of window codes those are measured that are
/// searched fast: tables with windows of 8.
/// @param windows which of the two
inline std::vector<std::size_t> measured_formats(bool windows) {
  std::vector<std::size_t> measured;
  for (std::size_t f = 0; f < format_count; ++f) {
    const Format& format = format_table[f];
    const bool table = format.family == WindowFamily::table && format.name.ends_with("_l8");
    if (windows ? table : format.family == WindowFamily::none) measured.push_back(f);
  }
  std::sort(measured.begin(), measured.end(), [](std::size_t a, std::size_t b) {
    return format_table[a].gaussian_noise > format_table[b].gaussian_noise;
  });
  return measured;
}

/// The noise of every format after feedback. How much it exceeds the noise on Gaussian weights is
/// measured, and interpolated over the logarithm of the latter for formats that are not: between
/// tables for window codes of these families, between scalar ones for all others.
template <Executor E>
std::array<double, format_count> measured_noise(
    const std::string& name, TensorView<const float, 2> weights, const InputBasis& basis,
    const PanelFeedback& feedback, const RowOrder& order, std::span<const WindowFamily> families,
    E& executor) {
  const std::vector<std::size_t> scalar = measured_formats(false);
  const std::vector<std::size_t> windows = measured_formats(true);
  std::vector<std::size_t> all = scalar;
  if (!families.empty()) all.insert(all.end(), windows.begin(), windows.end());
  const auto widening = measured_widening(name, weights, basis, feedback, order, all, executor);
  std::array<double, format_count> noise;
  for (std::size_t f = 0; f < format_count; ++f) {
    const bool known =
        std::find(families.begin(), families.end(), format_table[f].family) != families.end();
    const std::vector<std::size_t>& measured = known ? windows : scalar;
    const double own = format_table[f].gaussian_noise;
    std::size_t next = 1;
    while (next + 1 < measured.size() && format_table[measured[next]].gaussian_noise > own) ++next;
    const double high = std::log(format_table[measured[next - 1]].gaussian_noise);
    const double low = std::log(format_table[measured[next]].gaussian_noise);
    const double share = std::clamp((high - std::log(own)) / (high - low), 0.0, 1.0);
    noise[f] =
        own * ((1.0 - share) * widening[measured[next - 1]] + share * widening[measured[next]]);
  }
  return noise;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
#endif

inline namespace NASH_SWARM_TARGET {

/// Expected loss of the cells of a matrix [out, in] in every format, before anything is rounded.
///
/// In a rotated basis rounding errors are white: their variance in a row is the mean square of the
/// row times the format's noise on Gaussian weights. With gradients the loss is in nats. Without
/// them it is the mean squared error of the output, with error feedback, under the input moments
/// relative to the mean square of the output, times `importance` and the number of weights that are
/// stored, padding included.
///
/// So any weight's relative error matters alike. (If any matrix's did, small matrices would take
/// the bytes of the large: the KLD of the bundled GPT-2, LLaMA and OPT without gradients is .047,
/// .018 and .018 at 3 bits with tables, and would be .135, .045 and .037.) The matrix's loss is
/// shared evenly among its rows, as if all were of one length: rows differ in length because what
/// reads them does, so a relative error of any output matters alike. (Shared by length, KLD on
/// 12,288 tokens of WikiText-2 test at 2.5, 3 and 4 bits is .155, .062 and .0157 against .152, .054
/// and .0161 for GPT-2, .070, .028 and .0072 against .059, .024 and .0059 for LLaMA.)
/// @param importance how much more the model suffers from a relative error of this output than the
/// number of its weights tells; a factor on what gradients say if there are any
/// @param families of window codes whose noise is measured, which takes seconds
/// @param order of the rows in the panels; if none is given, rows are sorted where that pays, which
/// takes gradients to be known
/// @throws Error for NaN, infinity or a weight beyond 2^118 (named by index), moments that cannot
/// be (see ErrorFeedback), an importance below 0, or shapes that do not fit
NASH_SWARM_FUNCTION MatrixPayoff matrix_payoff(
    const std::string& name, TensorView<const float, 2> weights,
    const MatrixCalibration& calibration, const InputBasis& basis, double importance,
    ExecutorView executor, const std::vector<WindowFamily>& families = {WindowFamily::hash32},
    std::optional<RowOrder> order = std::nullopt);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION MatrixPayoff matrix_payoff(const std::string& name,
                                                 TensorView<const float, 2> weights,
                                                 const MatrixCalibration& calibration,
                                                 const InputBasis& basis, double importance,
                                                 ExecutorView executor,
                                                 const std::vector<WindowFamily>& families,
                                                 std::optional<RowOrder> order) {
  const std::size_t in = calibration.inputs().in_features();
  if (in != weights.extent(1) || basis.in_features() != weights.extent(1)) {
    throw Error(name, "moments of " + std::to_string(in) + " channels for a matrix of " +
                          std::to_string(weights.extent(1)));
  }
  const std::size_t rows = weights.extent(0);
  const std::size_t channels = basis.padded_features();
  // Wrong moments are found first: they would spoil what the weights are judged by.
  const PanelFeedback feedback(name, calibration, basis, rows, executor,
                               order.value_or(RowOrder()));
  const auto energy = detail::weight_energy(name, weights, calibration.inputs(), executor);
  if (!(importance >= 0.0) || !std::isfinite(importance)) {
    throw Error(name, "an importance of " + std::to_string(importance),
                "give a number of 0 or more");
  }
  MatrixPayoff payoff;
  if (order) payoff.order = std::move(*order);
  if (calibration.has_gradients()) {
    const std::vector<double> row_energy = detail::row_energies(weights, calibration, channels);
    if (!order) payoff.order = detail::sorted_rows(name, row_energy, calibration, channels);
    payoff.panel_energy = detail::panel_energies(row_energy, payoff.order);
  } else {
    payoff.panel_energy = detail::even_panel_energies(energy, rows);
  }
  for (double& panel : payoff.panel_energy) panel *= importance;
  for (std::size_t p = 0; p < payoff.panel_energy.size(); ++p) {
    payoff.panel_group.push_back(feedback.group_of(p));
  }
  for (const ErrorFeedback* group : feedback.groups()) {
    // A group whose gradients are all 0 loses nothing; without gradients every channel counts.
    payoff.block_moment.push_back(
        detail::block_moments(group, channels, calibration.has_gradients() ? 0.0 : 1.0));
  }
  payoff.noise =
      detail::measured_noise(name, weights, basis, feedback, payoff.order, families, executor);
  return payoff;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
