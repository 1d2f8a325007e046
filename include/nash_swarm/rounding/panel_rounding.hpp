#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/rounding/error_feedback.hpp>
#include <nash_swarm/rounding/error_spread.hpp>
#include <nash_swarm/rounding/row_scale.hpp>
#include <nash_swarm/rounding/viterbi.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// True if a block has window codes, which have to be searched for.
inline bool has_windows(std::span<const FormatId> formats) noexcept {
  return std::any_of(formats.begin(), formats.end(), [](FormatId id) {
    return format_table[format_index(id)].family != WindowFamily::none;
  });
}

/// Table over formats: rounds one column of a panel to the nearest codes; nullptr for windows.
struct NearestColumn {
  using Function = void (*)(const PanelColumn&, PanelColumn&, std::uint16_t*, std::size_t) noexcept;

  template <ScalarFormat F>
  static void round(const PanelColumn& targets, PanelColumn& rounded, std::uint16_t* codes,
                    std::size_t stride) noexcept {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      const std::uint16_t code = F::nearest(targets[row]);
      codes[row * stride] = code;
      rounded[row] = F::unit * static_cast<float>(F::value(code));
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

/// Sums over the channels of a row, weighed by what an error of the channel costs.
struct FeedbackSums {
  double loss = 0.0;     ///< of the rounding errors
  double product = 0.0;  ///< errors times rounded values
  double square = 0.0;   ///< of the rounded values
};

/// Rounds the 16 rows of a panel, channel after channel or tile after tile, each error moved to the
/// channels that follow: at once to those of its block, to all others when the block is done, so
/// that they are read once per block (as in GPTQ). Everything is in units of the rows' scales.
class PanelRounding {
 public:
  /// @param weights [channels] columns of the panel
  /// @param alive 1 for every row, 0 for rows without a scale, whose values are all 0
  /// @param formats of its blocks
  /// @param feedback nullptr for none
  /// @param codes receives [16, channels]
  PanelRounding(const AlignedBuffer<PanelColumn>& weights, const PanelColumn& alive,
                std::span<const FormatId> formats, const ErrorFeedback* feedback,
                std::uint16_t* codes, InstructionSet set)
      : weights_(weights),
        alive_(alive),
        formats_(formats),
        feedback_(feedback),
        codes_(codes),
        search_(set),
        spread_(spread_function_for(set)),
        rounded_(weights.size()),
        errors_(weights.size()),
        moved_(weights.size()) {}

  void run() {
    for (std::size_t b = 0; b < formats_.size(); ++b) {
      const std::size_t format = format_index(formats_[b]);
      const std::size_t end = (b + 1) * block_channels;
      for (std::size_t j = b * block_channels; j < end;) {
        if (nearest_column_table[format] != nullptr) {
          round_column(format, j);
          j += 1;
        } else {
          round_tile(window_table(format), j);
          j += tile_channels;
        }
      }
      spread(errors_, b * block_channels, end, end, weights_.size(), moved_);
    }
  }

  /// Rounded values, [channels].
  const AlignedBuffer<PanelColumn>& rounded() const noexcept { return rounded_; }

  /// What the errors and the rounded values add up to, for every row.
  std::array<FeedbackSums, panel_rows> sums() {
    std::array<FeedbackSums, panel_rows> sums{};
    AlignedBuffer<PanelColumn> values(weights_.size());  // what feedback adds to rounded values
    for (std::size_t j = 0; j < weights_.size(); ++j) {
      const double weight = feedback_ == nullptr ? 1.0 : feedback_->weight(j);
      for (std::size_t row = 0; row < panel_rows; ++row) {
        const double error = static_cast<double>(errors_[j][row] + moved_[j][row]);
        const double value = static_cast<double>(rounded_[j][row] + values[j][row]);
        sums[row].loss += weight * error * error;
        sums[row].product += weight * error * value;
        sums[row].square += weight * value * value;
      }
      const std::size_t block = j / block_channels * block_channels;
      const std::size_t end = block + block_channels;
      spread(rounded_, j, j + 1, j + 1, end, values);
      if (j + 1 == end) spread(rounded_, block, end, end, weights_.size(), values);
    }
    return sums;
  }

 private:
  void round_column(std::size_t format, std::size_t j) {
    PanelColumn target;
    for (std::size_t row = 0; row < panel_rows; ++row) {
      target[row] = alive_[row] * (weights_[j][row] + moved_[j][row]);
    }
    nearest_column_table[format](target, rounded_[j], codes_ + j, weights_.size());
    for (std::size_t row = 0; row < panel_rows; ++row) rounded_[j][row] *= alive_[row];
    move_errors(j, 1);
  }

  void round_tile(const WindowTable& table, std::size_t first) {
    TileTargets targets;
    for (std::size_t k = 0; k < tile_channels; ++k) targets.weight[k] = tile_weight(first, k);
    plan_tile(first, targets.target);
    std::array<std::uint16_t, tile_weights> windows;
    search_.run(table, targets, windows.data());
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t k = 0; k < tile_channels; ++k) {
        const std::uint16_t window = windows[row * tile_channels + k];
        const unsigned code_mask = (1u << stream_bits(table.twice_bits, k)) - 1u;
        codes_[row * weights_.size() + first + k] = static_cast<std::uint16_t>(window & code_mask);
        rounded_[first + k][row] =
            alive_[row] * table.step * static_cast<float>(table.values[window]);
      }
    }
    move_errors(first, tile_channels);
  }

  float share(std::size_t i, std::size_t j) const noexcept {
    return feedback_ == nullptr ? 0.0f : feedback_->from(i)[j];
  }

  /// What a squared error of a channel costs, since within a tile errors are not moved.
  float tile_weight(std::size_t first, std::size_t k) const noexcept {
    if (feedback_ == nullptr) return 1.0f;
    double weight = feedback_->weight(first + k);
    for (std::size_t next = k + 1; next < tile_channels; ++next) {
      const double part = static_cast<double>(share(first + k, first + next));
      weight += feedback_->weight(first + next) * part * part;
    }
    return static_cast<float>(weight);
  }

  /// The targets of a tile: what its weights would have to become to make good for the errors
  /// before it (the solution of the tile's triangular part of the feedback).
  void plan_tile(std::size_t first, std::array<float, tile_weights>& targets) const noexcept {
    std::array<PanelColumn, tile_channels> change;
    for (std::size_t k = 0; k < tile_channels; ++k) {
      change[k] = moved_[first + k];
      for (std::size_t i = 0; i < k; ++i) {
        const float part = share(first + i, first + k);
        for (std::size_t row = 0; row < panel_rows; ++row) change[k][row] -= part * change[i][row];
      }
      for (std::size_t row = 0; row < panel_rows; ++row) {
        targets[row * tile_channels + k] =
            alive_[row] * (weights_[first + k][row] + change[k][row]);
      }
    }
  }

  /// Moves the errors of some channels to the channels of their block after each, also those among
  /// them.
  void move_errors(std::size_t first, std::size_t count) noexcept {
    const std::size_t last = first + count;
    for (std::size_t k = first; k < last; ++k) {
      for (std::size_t row = 0; row < panel_rows; ++row) {
        errors_[k][row] = weights_[k][row] - rounded_[k][row];
      }
      spread(errors_, k, k + 1, k + 1, last, moved_);
    }
    const std::size_t block_end = (first / block_channels + 1) * block_channels;
    spread(errors_, first, last, last, block_end, moved_);
  }

  /// targets[j] += Σ shares of the columns [first, last), for the channels j in [begin, end).
  void spread(const AlignedBuffer<PanelColumn>& columns, std::size_t first, std::size_t last,
              std::size_t begin, std::size_t end, AlignedBuffer<PanelColumn>& targets) noexcept {
    if (feedback_ == nullptr || begin == end) return;
    spread_({feedback_->from(first) + begin, feedback_->channels(), columns.data() + first,
             last - first, targets.data() + begin, end - begin});
  }

  const AlignedBuffer<PanelColumn>& weights_;
  PanelColumn alive_;
  std::span<const FormatId> formats_;
  const ErrorFeedback* feedback_;
  std::uint16_t* codes_;
  TileSearch search_;
  void (*spread_)(const ErrorSpread&) noexcept;
  AlignedBuffer<PanelColumn> rounded_;
  AlignedBuffer<PanelColumn> errors_;
  AlignedBuffer<PanelColumn> moved_;  // what the errors of earlier channels add to targets
};

/// The scale that serves the rounded values best: least squares under the moments.
inline BFloat16 refitted_scale(float scale, const FeedbackSums& sums) noexcept {
  const BFloat16 stored = to_bfloat16(scale);
  if (!(sums.square > 0.0)) return stored;
  const double factor = 1.0 + sums.product / sums.square;
  const BFloat16 refitted = to_bfloat16(static_cast<float>(factor) * scale);
  return to_float(refitted) > 0.0f && std::isfinite(to_float(refitted)) ? refitted : stored;
}

/// How much wider than weights their targets are, as a factor: errors that are moved widen them.
inline double target_width(std::span<const FormatId> formats, const ErrorFeedback* feedback) {
  if (feedback == nullptr) return 1.0;
  double variance = 1.0;
  for (std::size_t j = 0; j < feedback->channels(); ++j) {
    variance +=
        format_table[format_index(formats[j / block_channels])].gaussian_noise * feedback->reach(j);
  }
  return std::sqrt(variance);
}

/// Rounds the rows of a panel, by search where there are window codes. Scales are those of nearest
/// rounding if all formats are scalar; a search works at the root mean square of the targets, or
/// at a larger scale where there are outliers. Then scales are refitted by least squares.
/// @param rotated [16, channels]
/// @param feedback nullptr for none
/// @param codes receives [16, channels]
/// @param scales receives the scales of the rows
/// @return what the errors cost, over all rows, before scales are refitted
inline double round_panel_codes(const float* rotated, std::span<const FormatId> formats,
                                const ErrorFeedback* feedback, std::uint16_t* codes,
                                BFloat16* scales) {
  const std::size_t channels = formats.size() * block_channels;
  const bool searched = has_windows(formats);
  const auto width = static_cast<float>(searched ? target_width(formats, feedback) : 1.0);
  AlignedBuffer<PanelColumn> weights(channels);
  PanelColumn units;
  PanelColumn alive;
  for (std::size_t row = 0; row < panel_rows; ++row) {
    const std::span<const float> source{rotated + row * channels, channels};
    scales[row] = searched ? to_bfloat16(search_scale(source, formats, width))
                           : round_row(source, formats, codes + row * channels);
    // A row of zeros has no scale: it gets the codes nearest to 0.
    alive[row] = to_float(scales[row]) > 0.0f ? 1.0f : 0.0f;
    units[row] = alive[row] > 0.0f ? to_float(scales[row]) : 1.0f;
    for (std::size_t k = 0; k < channels; ++k) weights[k][row] = source[k] / units[row];
  }
  PanelRounding rounding(weights, alive, formats, feedback, codes, default_instruction_set());
  rounding.run();
  const std::array<FeedbackSums, panel_rows> sums = rounding.sums();
  double loss = 0.0;
  for (std::size_t row = 0; row < panel_rows; ++row) {
    loss += static_cast<double>(units[row]) * static_cast<double>(units[row]) * sums[row].loss;
    scales[row] = refitted_scale(alive[row] * units[row], sums[row]);
  }
  return loss;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
