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

/// Where the values of windows lie, in places of 2^coarseness values.
struct ValuePlaces {
  static constexpr int of_zero = 128;
  static constexpr unsigned coarsest = 3;  ///< of which no place is out of reach of another

  unsigned coarseness = 0;
  AlignedBuffer<std::uint8_t> of_window;  ///< [2^window_bits]
  int first = 0;
  int last = 255;

  int values() const noexcept { return 1 << coarseness; }
};

/// What the search has to know of a format of window codes.
struct WindowTable {
  unsigned window_bits = 0;
  unsigned twice_bits = 0;
  float step = 1.0f;                  ///< of `values`, for weights of standard deviation 1
  AlignedBuffer<std::int8_t> values;  ///< [2^window_bits] of the windows
  double noise = 1.0;                 ///< mean squared error that is expected, in `step`²
  ValuePlaces places;
};

/// The targets of a tile, in the order of its stream.
struct TileTargets {
  std::array<float, tile_weights> target;   ///< in units of the rows' scales
  std::array<float, tile_channels> weight;  ///< what a squared error of each channel costs
};

inline namespace NASH_SWARM_TARGET {

inline ValuePlaces make_places(std::span<const std::int8_t> values, unsigned coarseness) {
  ValuePlaces places{coarseness, AlignedBuffer<std::uint8_t>(values.size()), 255, 0};
  for (std::size_t w = 0; w < values.size(); ++w) {
    const int place = ValuePlaces::of_zero + (values[w] >> coarseness);
    places.of_window[w] = static_cast<std::uint8_t>(place);
    places.first = std::min(places.first, place);
    places.last = std::max(places.last, place);
  }
  return places;
}

/// @param values [2^window_bits] −128 … 127
/// @param unit of the values, for weights of standard deviation 1
/// @param noise mean squared error that is expected of such weights
inline WindowTable make_window_table(unsigned window_bits, unsigned twice_bits,
                                     std::span<const std::int8_t> values, double unit,
                                     double noise) {
  WindowTable table;
  table.window_bits = window_bits;
  table.twice_bits = twice_bits;
  table.step = static_cast<float>(unit);
  table.noise = noise / unit / unit;
  // The places about a target that are looked at should reach far beyond the usual gap.
  unsigned coarseness = 0;
  while (coarseness < ValuePlaces::coarsest &&
         4.4 * std::sqrt(table.noise) > (GapCosts::reach << coarseness)) {
    ++coarseness;
  }
  table.values = AlignedBuffer<std::int8_t>(values.size());
  std::copy(values.begin(), values.end(), table.values.data());
  table.places = make_places(values, coarseness);
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
      return make_window_table(F::window_bits, F::twice_bits, values, static_cast<double>(F::unit),
                               F::gaussian_noise);
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
/// (Of all windows instead of this one the best gains .1 dB at 2 to 4 bits.) Costs are bytes, and
/// the usual noise of a weight is 6: 3 to 10 lose less than .02 dB. Should no window be left that
/// is not too dear, the search is repeated with lower prices, and if that does not help, as with
/// targets wider than the code, with coarser places too, which reach farther.
class TileSearch {
 public:
  explicit TileSearch(InstructionSet set) : functions_(viterbi_functions_for(set)) {}

  /// @param windows receives [128]
  void run(const WindowTable& table, const TileTargets& targets, std::uint16_t* windows) {
    prepare(table);
    place_targets(targets);
    for (unsigned softer = 0; softer <= softest; ++softer) {
      if (softer >= 3 && places_->coarseness < ValuePlaces::coarsest) {
        coarsen_places();
        place_targets(targets);
      }
      price_gaps(softer);
      if (find_seam() && search_between_seams()) break;
    }
    unsigned group = seam_;
    unsigned bits_behind = static_cast<unsigned>(tile_weights) * table.twice_bits / 2;
    for (std::size_t step = tile_weights; step-- > 0;) {
      // The first windows of the tile begin with the bits that the window at the seam ends with.
      const unsigned given = bits_behind < table.window_bits ? table.window_bits - bits_behind : 0;
      const unsigned window = survivor(step, step, group, given);
      windows[step] = static_cast<std::uint16_t>(window);
      group = window >> bits(step);
      bits_behind -= bits(step);
    }
  }

 private:
  /// Weights on either side of the seam that the first pass looks at.
  static constexpr std::size_t overlap = 32;
  static constexpr double usual_cost = 6.0;
  static constexpr int place_fraction = GapPrice::place_fraction;
  static constexpr unsigned softest = 16;  ///< at which all prices are 0

  unsigned bits(std::size_t step) const noexcept { return stream_bits(table_->twice_bits, step); }

  std::uint8_t* costs(std::size_t slot) noexcept { return costs_.data() + slot * stride_; }

  void prepare(const WindowTable& table) {
    table_ = &table;
    places_ = &table.places;
    stride_ = (std::size_t{1} << (table.window_bits - table.twice_bits / 2)) + costs_padding;
    if (costs_.size() < stride_ * (tile_weights + 1)) {
      costs_ = AlignedBuffer<std::uint8_t>(stride_ * (tile_weights + 1));
    }
  }

  void coarsen_places() {
    coarse_places_ =
        make_places({table_->values.data(), table_->values.size()}, places_->coarseness + 1);
    places_ = &coarse_places_;
  }

  void place_targets(const TileTargets& targets) noexcept {
    const int values_of_place = places_->values();
    const float scale =
        static_cast<float>(place_fraction) / (table_->step * static_cast<float>(values_of_place));
    // Values were rounded down to places.
    const int zero = place_fraction * ValuePlaces::of_zero -
                     place_fraction * (values_of_place - 1) / values_of_place / 2;
    const float most = *std::max_element(targets.weight.begin(), targets.weight.end());
    const double usual_gap = place_fraction * std::sqrt(table_->noise) / values_of_place;
    for (std::size_t step = 0; step < tile_weights; ++step) {
      const std::size_t k = step % tile_channels;
      targets_[step] = zero + static_cast<int>(std::lrint(
                                  std::clamp(targets.target[step] * scale, -32768.0f, 32767.0f)));
      const double share = most > 0.0f ? static_cast<double>(targets.weight[k] / most) : 1.0;
      prices_[k] = static_cast<std::uint32_t>(std::min(
          65000.0, share * usual_cost / (usual_gap * usual_gap) * (1 << GapPrice::price_shift)));
    }
  }

  /// @param softer binary places by which costs are to be less than usual
  void price_gaps(unsigned softer) noexcept {
    for (std::size_t step = 0; step < tile_weights; ++step) {
      const int target = targets_[step];
      const int nearest =
          std::clamp((target + place_fraction / 2) / place_fraction, places_->first, places_->last);
      functions_.price_gaps(
          {target, nearest - GapCosts::reach, prices_[step % tile_channels] >> softer},
          gaps_[step]);
      gaps_[step].cost.back() = too_dear;  // of windows out of reach
    }
  }

  ViterbiStep step_at(std::size_t step, std::size_t slot) noexcept {
    return {places_->of_window.data(), costs(slot), costs(slot + 1), &gaps_[step],
            table_->window_bits,       bits(step),  bits(step + 1),  least_};
  }

  void start(std::uint8_t cost) noexcept {
    least_ = 0;
    std::fill_n(costs(0), std::size_t{1} << (table_->window_bits - bits(0)), cost);
  }

  /// @return false if everything has become too dear
  bool advance(std::size_t step, std::size_t slot) noexcept {
    least_ = functions_.step(step_at(step, slot));
    return least_ != too_dear;
  }

  /// The cheapest window of a group after a step.
  /// @param given number of bits that windows have to share with the end of the one at the seam
  unsigned survivor(std::size_t step, std::size_t slot, unsigned group, unsigned given) noexcept {
    const ViterbiStep at = step_at(step, slot);
    const unsigned beginning = seam_ & ((1u << given) - 1u);
    unsigned best = group;
    int least = too_dear + 1;
    for (unsigned part = 0; part < at.parts(); ++part) {
      const unsigned window = part * at.groups() + group;
      if (window >> (table_->window_bits - given) != beginning) continue;
      const int cost = at.cost(window);
      if (cost >= least) continue;
      least = cost;
      best = window;
    }
    return best;
  }

  /// Finds the group of the window with which the tile had best end.
  bool find_seam() noexcept {
    start(0);
    for (std::size_t i = 0; i < 2 * overlap; ++i) {
      if (!advance((tile_weights - overlap + i) % tile_weights, i)) return false;
    }
    const std::uint8_t* last = costs(2 * overlap);
    const std::size_t groups = std::size_t{1} << (table_->window_bits - bits(overlap));
    seam_ = static_cast<unsigned>(std::min_element(last, last + groups) - last);
    for (std::size_t step = overlap; step-- > 0;) {
      seam_ = survivor(step, overlap + step, seam_, 0) >> bits(step);
    }
    return true;
  }

  bool search_between_seams() noexcept {
    start(too_dear);
    costs(0)[seam_] = 0;
    for (std::size_t step = 0; step < tile_weights; ++step) {
      if (!advance(step, step)) return false;
    }
    return costs(tile_weights)[seam_] != too_dear;
  }

  ViterbiFunctions functions_;
  const WindowTable* table_ = nullptr;
  const ValuePlaces* places_ = nullptr;
  ValuePlaces coarse_places_;
  std::size_t stride_ = 0;
  AlignedBuffer<std::uint8_t> costs_;  // [129, stride] of the groups before every step
  std::array<int, tile_weights> targets_{};
  std::array<std::uint32_t, tile_channels> prices_{};
  std::array<GapCosts, tile_weights> gaps_{};
  unsigned seam_ = 0;
  std::uint8_t least_ = 0;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
