#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/rounding/error_feedback.hpp>
#include <nash_swarm/rounding/row_scale.hpp>

namespace nash_swarm {
namespace detail {

/// One number for every row of a panel.
using PanelColumn = std::array<float, panel_rows>;

/// Column of a panel before and after rounding, in units of the weights.
struct RoundedColumn {
  PanelColumn target;
  PanelColumn rounded;
};

inline namespace NASH_SWARM_TARGET {

/// Table over formats: rounds one column of a panel to the nearest codes; nullptr for streams.
struct NearestColumn {
  using Function = void (*)(RoundedColumn&, const PanelColumn&, std::uint16_t*,
                            std::size_t) noexcept;

  template <ScalarFormat F>
  static void round(RoundedColumn& column, const PanelColumn& scales, std::uint16_t* codes,
                    std::size_t stride) noexcept {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      // A row of zeros has scale 0: it gets the codes nearest to 0.
      const float inverse = scales[row] > 0.0f ? 1.0f / scales[row] : 0.0f;
      const std::uint16_t code = F::nearest(column.target[row] * inverse);
      codes[row * stride] = code;
      column.rounded[row] = scales[row] * (F::unit * static_cast<float>(F::value(code)));
    }
  }
  template <BlockFormat F>
  static constexpr Function of() {
    if constexpr (ScalarFormat<F>) {
      return &round<F>;
    } else {
      return nullptr;
    }
  }
};

inline constexpr auto nearest_column_table = Formats::map<NearestColumn>();

/// target[row] += share · error[row] for all channels after `channel`.
inline void add_shares(const float* shares, std::size_t channel, const PanelColumn& error,
                       AlignedBuffer<PanelColumn>& targets) noexcept {
  for (std::size_t k = channel + 1; k < targets.size(); ++k) {
    const float share = shares[k];
    PanelColumn& target = targets[k];
    for (std::size_t row = 0; row < panel_rows; ++row) target[row] += share * error[row];
  }
}

/// Sums over the channels of a row, weighed by what an error of the channel costs.
struct FeedbackSums {
  double loss = 0.0;     ///< of the rounding errors
  double product = 0.0;  ///< errors times rounded values
  double square = 0.0;   ///< of the rounded values

  /// Adds one channel: the error and the rounded value, with what feedback adds to both.
  void add(double weight, double error, double value) noexcept {
    loss += weight * error * error;
    product += weight * error * value;
    square += weight * value * value;
  }
};

/// The scale that serves the rounded values best: least squares under the moments.
inline BFloat16 refitted_scale(float scale, const FeedbackSums& sums) noexcept {
  const BFloat16 stored = to_bfloat16(scale);
  if (!(sums.square > 0.0)) return stored;
  const double factor = 1.0 + sums.product / sums.square;
  const BFloat16 refitted = to_bfloat16(static_cast<float>(factor) * scale);
  return to_float(refitted) > 0.0f && std::isfinite(to_float(refitted)) ? refitted : stored;
}

/// Refits the scales of the rows of a panel.
/// @return what the errors cost before, over all rows
inline double refit_scales(const PanelColumn& current,
                           const std::array<FeedbackSums, panel_rows>& sums,
                           BFloat16* scales) noexcept {
  double loss = 0.0;
  for (std::size_t row = 0; row < panel_rows; ++row) {
    loss += sums[row].loss;
    scales[row] = refitted_scale(current[row], sums[row]);
  }
  return loss;
}

/// Rounds the 16 rows of a panel channel after channel, each error moved to the channels that
/// follow.
/// @param weights [16, channels] in the basis
/// @param codes receives [16, channels]
inline std::array<FeedbackSums, panel_rows> round_channels(const float* weights,
                                                           const PanelColumn& scales,
                                                           std::span<const FormatId> formats,
                                                           const ErrorFeedback& feedback,
                                                           std::uint16_t* codes) {
  const std::size_t channels = feedback.channels();
  AlignedBuffer<PanelColumn> errors(channels);  // of earlier channels, as the target sees them
  AlignedBuffer<PanelColumn> values(channels);  // the same of the rounded values
  std::array<FeedbackSums, panel_rows> sums{};
  for (std::size_t j = 0; j < channels; ++j) {
    RoundedColumn column;
    for (std::size_t row = 0; row < panel_rows; ++row) {
      column.target[row] = weights[row * channels + j] + errors[j][row];
    }
    nearest_column_table[format_index(formats[j / block_channels])](column, scales, codes + j,
                                                                    channels);
    PanelColumn error;
    const double weight = feedback.weight(j);
    for (std::size_t row = 0; row < panel_rows; ++row) {
      error[row] = weights[row * channels + j] - column.rounded[row];
      sums[row].add(weight, static_cast<double>(column.target[row] - column.rounded[row]),
                    static_cast<double>(values[j][row] + column.rounded[row]));
    }
    add_shares(feedback.from(j), j, error, errors);
    add_shares(feedback.from(j), j, column.rounded, values);
  }
  return sums;
}

/// Rounds the rows of a panel with feedback; scales are those of nearest rounding, then refitted by
/// least squares under the moments.
/// @param rotated [16, channels]
/// @param codes receives [16, channels]
/// @param scales receives the scales of the rows
/// @return what the errors cost, over all rows
inline double round_panel_with_feedback(const float* rotated, std::span<const FormatId> formats,
                                        const ErrorFeedback& feedback, std::uint16_t* codes,
                                        BFloat16* scales) {
  const std::size_t channels = feedback.channels();
  PanelColumn current;
  for (std::size_t row = 0; row < panel_rows; ++row) {
    scales[row] = round_row({rotated + row * channels, channels}, formats, codes + row * channels);
    current[row] = to_float(scales[row]);
  }
  return refit_scales(current, round_channels(rotated, current, formats, feedback, codes), scales);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
