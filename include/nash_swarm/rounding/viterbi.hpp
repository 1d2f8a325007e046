#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/format/formats.hpp>
#include <nash_swarm/rounding/viterbi_step.hpp>

namespace nash_swarm {
namespace detail {

/// What the search has to know of a format of window codes.
struct WindowTable {
  unsigned window_bits = 0;
  unsigned twice_bits = 0;
  unsigned doublings = 0;  ///< see ViterbiStep
  float step = 1.0f;       ///< of `values`, for weights of standard deviation 1
  AlignedBuffer<std::int16_t> values;  ///< [2^window_bits]
};

/// The targets of a tile, in the order of its stream.
struct TileTargets {
  std::array<float, tile_weights> target;         ///< in units of the rows' scales
  std::array<float, tile_channels> weight;        ///< what a squared error of each channel costs
};

inline namespace NASH_SWARM_TARGET {

/// @param values [2^window_bits] −128 … 127, made as large as 16 bits allow
/// @param unit of the values, for weights of standard deviation 1
/// @param noise mean squared error that is expected of such weights
inline WindowTable make_window_table(unsigned window_bits, unsigned twice_bits,
                                     std::span<const std::int8_t> values, double unit,
                                     double noise) {
  int largest = 1;
  for (const std::int8_t value : values) largest = std::max(largest, std::abs(int{value}));
  int factor = 256;
  while (2 * factor * largest < 32768) factor *= 2;
  WindowTable table{window_bits, twice_bits, 0, static_cast<float>(unit / factor),
                    AlignedBuffer<std::int16_t>(values.size())};
  for (std::size_t w = 0; w < values.size(); ++w) {
    table.values[w] = static_cast<std::int16_t>(factor * values[w]);
  }
  // Costs of 16 bits give up their lowest bits: a step should cost much more than these, and much
  // less than all.
  double cost = noise / (unit / factor) / (unit / factor) / 65536.0;
  for (; table.doublings < 2 && cost < 20.0; cost *= 4.0) ++table.doublings;
  return table;
}

/// Table over formats.
struct MakeWindowTable {
  template <BlockFormat F>
  static WindowTable of() {
    if constexpr (WindowFormat<F>) {
      std::vector<std::int8_t> values(std::size_t{1} << F::window_bits);
      for (std::size_t w = 0; w < values.size(); ++w) {
        values[w] = F::value(static_cast<std::uint16_t>(w));
      }
      return make_window_table(F::window_bits, F::twice_bits, values,
                               static_cast<double>(F::unit), F::gaussian_noise);
    } else {
      return {};
    }
  }
};

/// @param format place in `format_table` of a format of window codes
inline const WindowTable& window_table(std::size_t format) {
  static const auto tables = Formats::map<MakeWindowTable>();
  return tables[format];
}

/// Searches for the cheapest codes of a tile (Viterbi 1967).
///
/// The stream is a ring, so where to begin? A first pass over the end and the beginning of the tile
/// finds the window between the two; a second one over the whole tile begins and ends with it.
/// (Of all windows instead of this one the best gains .1 dB at 2 to 4 bits.)
class TileSearch {
 public:
  explicit TileSearch(InstructionSet set) : step_(viterbi_step_for(set)) {}

  /// @param windows receives [128]
  void run(const WindowTable& table, const TileTargets& targets, std::uint16_t* windows) {
    prepare(table, targets);
    const std::size_t seam = find_seam();
    start(0xffff);
    costs_[0][seam] = 0;
    for (std::size_t step = 0; step < tile_weights; ++step) advance(step, step);
    std::size_t group = seam;
    for (std::size_t step = tile_weights; step-- > 0;) {
      const std::size_t window = window_of(step, step, group);
      windows[step] = static_cast<std::uint16_t>(window);
      group = window >> bits(step);
    }
  }

 private:
  /// Weights on either side of the seam that the first pass looks at.
  static constexpr std::size_t overlap = 32;

  void prepare(const WindowTable& table, const TileTargets& targets) {
    const std::size_t most_groups = std::size_t{1} << (table.window_bits - table.twice_bits / 2);
    if (costs_[0].size() < most_groups) {
      costs_[0] = AlignedBuffer<std::uint16_t>(most_groups);
      costs_[1] = AlignedBuffer<std::uint16_t>(most_groups);
      choices_ = AlignedBuffer<std::uint8_t>(most_groups * tile_weights);
    }
    table_ = &table;
    most_groups_ = most_groups;
    const float most = *std::max_element(targets.weight.begin(), targets.weight.end());
    for (std::size_t k = 0; k < tile_channels; ++k) {
      const float share = most > 0.0f ? std::sqrt(targets.weight[k] / most) : 1.0f;
      factors_[k] = static_cast<std::int16_t>(std::min(32767.0f, 32768.0f * share));
    }
    for (std::size_t step = 0; step < tile_weights; ++step) {
      const float value = targets.target[step] * (1.0f / table.step) *
                          static_cast<float>(factors_[step % tile_channels]) / 32768.0f;
      targets_[step] = static_cast<std::int16_t>(std::clamp(value, -32768.0f, 32767.0f));
    }
  }

  unsigned bits(std::size_t step) const noexcept { return stream_bits(table_->twice_bits, step); }

  void start(std::uint16_t cost) noexcept {
    current_ = 0;
    least_ = 0;
    std::fill_n(costs_[0].data(), std::size_t{1} << (table_->window_bits - bits(0)), cost);
  }

  void advance(std::size_t step, std::size_t slot) noexcept {
    least_ = step_({table_->values.data(), costs_[current_].data(), costs_[1 - current_].data(),
                    choices_.data() + slot * most_groups_, table_->window_bits, bits(step),
                    bits(step + 1), targets_[step], factors_[step % tile_channels],
                    table_->doublings, least_});
    current_ = 1 - current_;
  }

  /// The window after a step that survived in a group.
  std::size_t window_of(std::size_t step, std::size_t slot, std::size_t group) const noexcept {
    return (std::size_t{choices_[slot * most_groups_ + group]}
            << (table_->window_bits - bits(step + 1))) |
           group;
  }

  /// The group of the window with which the tile had best end.
  std::size_t find_seam() noexcept {
    start(0);
    for (std::size_t i = 0; i < 2 * overlap; ++i) {
      advance((tile_weights - overlap + i) % tile_weights, i);
    }
    const std::uint16_t* costs = costs_[current_].data();
    const std::size_t groups = std::size_t{1} << (table_->window_bits - bits(overlap));
    auto group = static_cast<std::size_t>(std::min_element(costs, costs + groups) - costs);
    for (std::size_t step = overlap; step-- > 0;) {
      group = window_of(step, overlap + step, group) >> bits(step);
    }
    return group;
  }

  ViterbiStepFunction step_;
  const WindowTable* table_ = nullptr;
  std::size_t most_groups_ = 0;
  AlignedBuffer<std::uint16_t> costs_[2];
  AlignedBuffer<std::uint8_t> choices_;  // [128, groups]
  std::array<std::int16_t, tile_weights> targets_{};
  std::array<std::int16_t, tile_channels> factors_{};
  unsigned current_ = 0;
  std::uint16_t least_ = 0;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
