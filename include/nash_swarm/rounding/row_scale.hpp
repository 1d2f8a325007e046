#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

#include <nash_swarm/core/half.hpp>
#include <nash_swarm/format/formats.hpp>

namespace nash_swarm {
namespace detail {

/// Sums over the weights w of a row and their rounded values q in units of the row's scale: what the
/// least-squares scale and the squared error need.
struct RoundingSums {
  double product = 0.0;  ///< Σ w·q
  double square = 0.0;   ///< Σ q²
};

inline namespace NASH_SWARM_TARGET {

/// Table over formats: nearest rounding of the weights of one row in one block.
struct NearestBlock {
  using Function = RoundingSums (*)(const float*, float, std::uint16_t*) noexcept;

  template <BlockFormat F>
  static RoundingSums round(const float* weights, float inverse_scale,
                            std::uint16_t* codes) noexcept {
    RoundingSums sums;
    for (std::size_t k = 0; k < block_channels; ++k) {
      codes[k] = F::nearest(weights[k] * inverse_scale);
      const double q = static_cast<double>(F::unit * static_cast<float>(F::value(codes[k])));
      sums.product += static_cast<double>(weights[k]) * q;
      sums.square += q * q;
    }
    return sums;
  }
  template <BlockFormat F>
  static constexpr Function of() {
    return &round<F>;
  }
};

/// Table over formats: the largest magnitude, in units of the row's scale, that is not clipped.
struct ClipPoint {
  template <BlockFormat F>
  static float of() {
    return F::unit * static_cast<float>(F::value(F::nearest(1e30f)));
  }
};

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

/// Root mean square of the weights that are stored (not pruned), and the scale that clips none.
struct ScaleStarts {
  float root_mean_square = 0.0f;
  float clip_free = 0.0f;
};

inline ScaleStarts scale_starts(std::span<const float> weights,
                                std::span<const FormatId> formats) noexcept {
  static const auto clip_points = Formats::map<ClipPoint>();
  double squares = 0.0;
  std::size_t count = 0;
  ScaleStarts starts;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const std::size_t index = format_index(formats[b]);
    if (format_table[index].block_bytes == 0) continue;
    for (const float weight : weights.subspan(b * block_channels, block_channels)) {
      squares += static_cast<double>(weight) * static_cast<double>(weight);
      starts.clip_free = std::max(starts.clip_free, std::fabs(weight) / clip_points[index]);
    }
    count += block_channels;
  }
  if (count != 0) {
    starts.root_mean_square = static_cast<float>(std::sqrt(squares / static_cast<double>(count)));
  }
  return starts;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Rounds one row to the nearest codes and finds its scale.
/// @param weights the row in its basis, 64 for every entry of `formats`
/// @param formats format of every block of the row
/// @param codes receives one code per weight
/// @return the scale to store; 0 for a row of zeros
///
/// Starts from the root mean square of the row, right for Gaussian weights, and where that clips,
/// also from the scale that clips nothing and from the geometric mean of both. From each start the
/// row is rounded, the scale fitted to the codes by least squares, and the row rounded again; the
/// smallest squared error wins.
inline BFloat16 round_row(std::span<const float> weights, std::span<const FormatId> formats,
                          std::uint16_t* codes) noexcept {
  const detail::ScaleStarts starts = detail::scale_starts(weights, formats);
  const float rms = starts.root_mean_square;
  const std::array<float, 3> candidates = {rms, std::sqrt(rms * starts.clip_free),
                                           starts.clip_free};
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
  const std::size_t starts_to_try = starts.clip_free > rms ? candidates.size() : 1;
  for (std::size_t i = 0; i < starts_to_try; ++i) consider(consider(consider(candidates[i])));
  if (to_float(best) > 0.0f) {
    detail::round_row_at(to_float(best), weights, formats, codes);
  } else {
    std::fill_n(codes, weights.size(), std::uint16_t{0});
  }
  return best;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
