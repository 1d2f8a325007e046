#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>

#include <nash_swarm/core/half.hpp>
#include <nash_swarm/format/formats.hpp>

namespace nash_swarm {
namespace detail {

/// Sums over the weights w of a row and their rounded values q in units of the row's scale: what
/// the least-squares scale and the squared error need.
struct RoundingSums {
  double product = 0.0;  ///< Σ w·q
  double square = 0.0;   ///< Σ q²
};

inline namespace NASH_SWARM_TARGET {

/// Table over formats: nearest rounding of the weights of one row in one block; nullptr for
/// windows.
struct NearestBlock {
  using Function = RoundingSums (*)(const float*, float, std::uint16_t*) noexcept;

  template <ScalarFormat F>
  static RoundingSums round(const float* weights, float inverse_scale,
                            std::uint16_t* codes) noexcept {
    // Two loops: compilers vectorise the first.
    for (std::size_t k = 0; k < block_channels; ++k) {
      codes[k] = F::nearest(weights[k] * inverse_scale);
    }
    RoundingSums sums;
    for (std::size_t k = 0; k < block_channels; ++k) {
      const double q = static_cast<double>(F::unit * static_cast<float>(F::value(codes[k])));
      sums.product += static_cast<double>(weights[k]) * q;
      sums.square += q * q;
    }
    return sums;
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

/// Table over formats: the largest magnitude, in units of the row's scale, that is not clipped.
struct ClipPoint {
  template <BlockFormat F>
  static float of() {
    if constexpr (ScalarFormat<F>) {
      return F::unit * static_cast<float>(F::value(F::nearest(1e30f)));
    } else {
      int largest = 0;
      for (unsigned window = 0; window < 1u << F::window_bits; ++window) {
        largest = std::max(largest, std::abs(int{F::value(static_cast<std::uint16_t>(window))}));
      }
      return F::unit * static_cast<float>(largest);
    }
  }
};

using ClipPoints = std::array<float, format_count>;

inline constexpr auto nearest_table = Formats::map<NearestBlock>();

/// Rounds a row with a given scale; returns the sums over its blocks.
inline RoundingSums round_row_at(float scale, std::span<const float> weights,
                                 std::span<const FormatId> formats, std::uint16_t* codes) noexcept {
  RoundingSums sums;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const RoundingSums block = nearest_table[format_index(formats[b])](
        weights.data() + b * block_channels, 1.0f / scale, codes + b * block_channels);
    sums.product += block.product;
    sums.square += block.square;
  }
  return sums;
}

/// The smallest bfloat16 that is not below a value of 0 or more: to the nearest one, a scale that
/// just clips nothing might clip.
inline BFloat16 bfloat16_not_below(float value) noexcept {
  BFloat16 rounded = to_bfloat16(value);
  if (to_float(rounded) < value) ++rounded.bits;
  return rounded;
}

/// What the weights of a row tell before they are rounded; pruned blocks do not count.
struct RowStatistics {
  float root_mean_square = 0.0f;
  float clip_free = 0.0f;  ///< the scale that clips no weight
};

inline const ClipPoints& clip_points() noexcept {
  static const ClipPoints points = Formats::map<ClipPoint>();
  return points;
}

inline RowStatistics row_statistics(std::span<const float> weights,
                                    std::span<const FormatId> formats) noexcept {
  RowStatistics row;
  std::size_t count = 0;
  double energy = 0.0;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const std::size_t index = format_index(formats[b]);
    if (format_table[index].block_bytes == 0) continue;
    float largest = 0.0f;
    for (const float weight : weights.subspan(b * block_channels, block_channels)) {
      energy += static_cast<double>(weight) * static_cast<double>(weight);
      largest = std::max(largest, std::fabs(weight));
    }
    row.clip_free = std::max(row.clip_free, largest / clip_points()[index]);
    count += block_channels;
  }
  if (count != 0) {
    row.root_mean_square = static_cast<float>(std::sqrt(energy / static_cast<double>(count)));
  }
  return row;
}

/// What the weights of a row would lose at a scale: noise, and what is clipped.
inline double expected_loss_at(double scale, std::span<const float> weights,
                               std::span<const FormatId> formats) noexcept {
  double loss = 0.0;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const std::size_t index = format_index(formats[b]);
    if (format_table[index].block_bytes == 0) continue;
    const double clip = scale * static_cast<double>(clip_points()[index]);
    const double noise = format_table[index].gaussian_noise * scale * scale;
    loss += static_cast<double>(block_channels) * noise;
    for (const float weight : weights.subspan(b * block_channels, block_channels)) {
      const double clipped = std::max(0.0, std::fabs(static_cast<double>(weight)) - clip);
      loss += clipped * clipped;
    }
  }
  return loss;
}

/// The scale at which the weights of a row are searched for: `width` times their root mean square,
/// right for the Gaussian weights of a rotated basis, or, where outliers would lose more by being
/// clipped than all weights by a coarser scale, that times a power of 2.
inline float search_scale(std::span<const float> weights, std::span<const FormatId> formats,
                          float width) noexcept {
  const RowStatistics row = row_statistics(weights, formats);
  float best = width * row.root_mean_square;
  double least = expected_loss_at(static_cast<double>(best), weights, formats);
  for (float scale = best; scale > 0.0f && scale < row.clip_free;) {
    scale *= 2.0f;
    const double loss = expected_loss_at(static_cast<double>(scale), weights, formats);
    if (loss < least) {
      least = loss;
      best = scale;
    }
  }
  return best;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Rounds one row to the nearest codes of scalar formats and finds its scale.
/// @param weights the row in its basis, 64 for every entry of `formats`
/// @param formats format of every block of the row
/// @param codes receives one code per weight
/// @return the scale to store; 0 for a row of zeros
///
/// Starts from the root mean square of the row, right for Gaussian weights, and where that clips
/// also from the scale that clips nothing and from the geometric mean of both. From each the row is
/// rounded, the scale fitted to the codes by least squares, and the row rounded again; the smallest
/// squared error wins. (The further starts take 3 % off the bundled model's KLD at 3 bits.)
inline BFloat16 round_row(std::span<const float> weights, std::span<const FormatId> formats,
                          std::uint16_t* codes) noexcept {
  const detail::RowStatistics row = detail::row_statistics(weights, formats);
  BFloat16 best{};
  double most_explained = 0.0;  // Σw² less the squared error, at the best scale
  const auto consider = [&](float candidate) {
    const BFloat16 stored = to_bfloat16(candidate);
    const float scale = to_float(stored);
    if (!(scale > 0.0f) || !std::isfinite(scale) || !std::isfinite(1.0f / scale)) return 0.0f;
    const detail::RoundingSums sums = detail::round_row_at(scale, weights, formats, codes);
    const double s = static_cast<double>(scale);
    const double explained = s * (2.0 * sums.product - s * sums.square);
    if (explained > most_explained) {
      most_explained = explained;
      best = stored;
    }
    return sums.square > 0.0 ? static_cast<float>(sums.product / sums.square) : 0.0f;
  };
  consider(consider(consider(row.root_mean_square)));
  if (row.clip_free > row.root_mean_square) {
    consider(consider(consider(std::sqrt(row.root_mean_square * row.clip_free))));
    consider(consider(to_float(detail::bfloat16_not_below(row.clip_free))));
  }
  if (to_float(best) > 0.0f) {
    detail::round_row_at(to_float(best), weights, formats, codes);
  } else {
    // A row of zeros: every weight, times 0, gets the code nearest to 0.
    detail::round_row_at(std::numeric_limits<float>::infinity(), weights, formats, codes);
  }
  return best;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
