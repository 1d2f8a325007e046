#include "block_rounding.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include <nash_swarm/core/half.hpp>

namespace gguf {
namespace {

constexpr std::size_t largest_part = 32;
constexpr std::size_t most_parts = 16;
using PartValues = std::array<float, largest_part>;

/// What a part multiplies its levels by, and what it adds.
struct Scale {
  float scale = 0.0f;
  float minimum = 0.0f;
};

float as_half(float value) {
  return nash_swarm::to_float(nash_swarm::to_half(value));
}

/// The nearest integer, of numbers below 2^22; unlike std::nearbyint, compilers make vectors of it.
float nearest_integer(float value) {
  constexpr float magic = 0x1.8p23f;
  return (value + magic) - magic;
}

constexpr std::array<std::int8_t, 16> iq4_levels{-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};

/// The nearest levels to numbers from -128 on, in steps of a half: the middles between levels are
/// multiples of it.
constexpr std::array<std::int8_t, 512> nearest_iq4 = [] {
  std::array<std::int8_t, 512> nearest{};
  std::size_t level = 0;
  for (int i = 0; i < 512; ++i) {
    while (level + 1 < 16 && i - 256 >= iq4_levels[level] + iq4_levels[level + 1]) ++level;
    nearest[static_cast<std::size_t>(i)] = iq4_levels[level];
  }
  return nearest;
}();

/// The levels nearest to (x - minimum) · inverse.
void round_to_levels(const BlockScheme& scheme, std::span<const float> x, float inverse,
                     float minimum, float* levels) {
  if (scheme.levels == Levels::iq4) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      // In this order NaN becomes 0.
      const float place = std::min(std::max(0.0f, 2.0f * x[i] * inverse + 256.0f), 511.0f);
      levels[i] = nearest_iq4[static_cast<std::size_t>(place)];
    }
    return;
  }
  const auto lowest = static_cast<float>(scheme.lowest);
  const auto highest = static_cast<float>(scheme.highest);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float place = std::min(std::max((x[i] - minimum) * inverse, lowest), highest);
    levels[i] = nearest_integer(place);
  }
}

/// The weight of largest magnitude, with its sign.
float extreme_of(std::span<const float> x) {
  float extreme = 0.0f;
  for (const float value : x) {
    if (std::abs(value) > std::abs(extreme)) extreme = value;
  }
  return extreme;
}

/// A scale for levels of both signs: the extreme weight meets the lowest level, or near it if
/// weighted least squares say so.
Scale fit_scale(const BlockScheme& scheme, std::span<const float> x, const PartValues& weight,
                bool search) {
  const float extreme = extreme_of(x);
  if (extreme == 0.0f) return {};
  const auto lowest = static_cast<float>(scheme.lowest);
  if (!search) return {extreme / lowest, 0.0f};
  constexpr int tries = 9;  // on both sides
  const float step = scheme.levels == Levels::iq4 ? 1.0f : 0.1f;
  Scale best;
  float best_gain = 0.0f;
  PartValues levels;
  for (int t = -tries; t <= tries; ++t) {
    const float inverse = (lowest + step * static_cast<float>(t)) / extreme;
    round_to_levels(scheme, x, inverse, 0.0f, levels.data());
    float product = 0.0f;
    float square = 0.0f;
    for (std::size_t i = 0; i < x.size(); ++i) {
      product += weight[i] * x[i] * levels[i];
      square += weight[i] * levels[i] * levels[i];
    }
    // The scale product / square lowers the squared error by product² / square.
    if (square > 0.0f && product * product > best_gain * square) {
      best = {product / square, 0.0f};
      best_gain = product * product / square;
    }
  }
  return best;
}

/// A scale and a minimum not above 0 for levels from 0 up, by weighted least squares for several
/// widths of a step.
Scale fit_minimum(const BlockScheme& scheme, std::span<const float> x, const PartValues& weight,
                  bool search) {
  const auto [least, most] = std::minmax_element(x.begin(), x.end());
  const auto highest = static_cast<float>(scheme.highest);
  if (!search) return {(*most - *least) / highest, *least};
  const float low = std::min(*least, 0.0f);
  const float range = *most - low;
  if (!(range > 0.0f)) return {0.0f, low};
  float sum = 0.0f;  // of weights, and below of weights times what the name says
  float sum_x = 0.0f;
  float sum_xx = 0.0f;
  for (std::size_t i = 0; i < x.size(); ++i) {
    sum += weight[i];
    sum_x += weight[i] * x[i];
    sum_xx += weight[i] * x[i] * x[i];
  }
  constexpr int tries = 10;  // on both sides
  Scale best{range / highest, low};
  float best_error = sum_xx;
  PartValues levels;
  for (int t = -tries; t <= tries; ++t) {
    round_to_levels(scheme, x, (highest + 0.1f * static_cast<float>(t)) / range, low,
                    levels.data());
    float sum_l = 0.0f;
    float sum_ll = 0.0f;
    float sum_xl = 0.0f;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum_l += weight[i] * levels[i];
      sum_ll += weight[i] * levels[i] * levels[i];
      sum_xl += weight[i] * x[i] * levels[i];
    }
    const float determinant = sum * sum_ll - sum_l * sum_l;
    if (!(determinant > 0.0f)) continue;
    Scale fit{(sum * sum_xl - sum_x * sum_l) / determinant,
              (sum_ll * sum_x - sum_l * sum_xl) / determinant};
    if (fit.minimum > 0.0f) fit = {sum_xl / sum_ll, 0.0f};
    const float error = sum_xx - fit.scale * sum_xl - fit.minimum * sum_x;
    if (error < best_error) {
      best = fit;
      best_error = error;
    }
  }
  return best;
}

/// How much the error of every weight of a part counts.
/// @param importance [part] or empty
/// @param block_square mean square of the block, which llama.cpp mixes in beside an importance
void fill_weight(Emphasis emphasis, std::span<const float> x, std::span<const float> importance,
                 float block_square, PartValues& weight) {
  if (!importance.empty()) {
    for (std::size_t i = 0; i < x.size(); ++i) {
      weight[i] = importance[i] * std::sqrt(block_square + x[i] * x[i]);
    }
    return;
  }
  float square = 0.0f;
  for (const float value : x) square += value * value;
  const float root = std::sqrt(square / static_cast<float>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    switch (emphasis) {
      case Emphasis::even:
        weight[i] = 1.0f;
        break;
      case Emphasis::magnitude:
        weight[i] = std::abs(x[i]);
        break;
      case Emphasis::root_plus_magnitude:
        weight[i] = root + std::abs(x[i]);
        break;
      case Emphasis::square:
        weight[i] = x[i] * x[i];
        break;
    }
  }
}

/// The multiple of `unit` nearest to a value.
float nearest_multiple(float value, float unit, float lowest, float highest) {
  if (unit == 0.0f) return 0.0f;
  return unit * std::clamp(nearest_integer(value / unit), lowest, highest);
}

/// Rounds the scales of a block's parts to what can be stored.
void round_scales(const BlockScheme& scheme, std::span<Scale> parts) {
  if (scheme.scale_steps == 0) {
    for (Scale& part : parts) part = {as_half(part.scale), as_half(part.minimum)};
    return;
  }
  const auto steps = static_cast<float>(scheme.scale_steps);
  float extreme = 0.0f;
  float least = 0.0f;
  for (const Scale& part : parts) {
    if (std::abs(part.scale) > std::abs(extreme)) extreme = part.scale;
    least = std::min(least, part.minimum);
  }
  const float unit = as_half(extreme / (scheme.minimum ? steps : -steps));
  const float minimum_unit = as_half(least / steps);
  for (Scale& part : parts) {
    part.scale = scheme.minimum ? nearest_multiple(part.scale, unit, 0.0f, steps)
                                : nearest_multiple(part.scale, unit, -steps, steps - 1.0f);
    part.minimum = nearest_multiple(part.minimum, minimum_unit, 0.0f, steps);
  }
}

void round_block(const BlockScheme& scheme, std::span<const float> block,
                 std::span<const float> importance, std::span<float> out) {
  float square = 0.0f;
  for (const float value : block) square += value * value;
  square /= static_cast<float>(block.size());
  const bool search =
      scheme.fit == Fit::always || (scheme.fit == Fit::with_importance && !importance.empty());
  std::array<Scale, most_parts> scales;
  const std::size_t parts = block.size() / scheme.part;
  PartValues values;
  for (std::size_t p = 0; p < parts; ++p) {
    const std::span<const float> x = block.subspan(p * scheme.part, scheme.part);
    const std::span<const float> own =
        importance.empty() ? importance : importance.subspan(p * scheme.part, scheme.part);
    fill_weight(scheme.emphasis, x, own, square, values);
    scales[p] = scheme.minimum ? fit_minimum(scheme, x, values, search)
                               : fit_scale(scheme, x, values, search);
  }
  round_scales(scheme, {scales.data(), parts});
  for (std::size_t p = 0; p < parts; ++p) {
    const auto [scale, minimum] = scales[p];
    const float inverse = scale == 0.0f ? 0.0f : 1.0f / scale;
    round_to_levels(scheme, block.subspan(p * scheme.part, scheme.part), inverse, minimum,
                    values.data());
    for (std::size_t i = 0; i < scheme.part; ++i) {
      out[p * scheme.part + i] = scale * values[i] + minimum;
    }
  }
}

}  // namespace

void round_row(const BlockScheme& scheme, std::span<const float> row,
               std::span<const float> importance, std::span<float> out) {
  const std::size_t block = scheme.type().block_weights;
  for (std::size_t begin = 0; begin + block <= row.size(); begin += block) {
    round_block(scheme, row.subspan(begin, block),
                importance.empty() ? importance : importance.subspan(begin, block),
                out.subspan(begin, block));
  }
}

}  // namespace gguf
