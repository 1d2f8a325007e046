#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/rounding/beam.hpp>

#if defined(NASH_SWARM_X86_REGIONS)
#include <immintrin.h>
#endif

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

// The order of these files matters.
// clang-format off
#define NASH_SWARM_REGION portable
#define NASH_SWARM_LANES 4
#include <nash_swarm/rounding/beam_step.inc>
#undef NASH_SWARM_REGION
#undef NASH_SWARM_LANES
#if defined(NASH_SWARM_X86_REGIONS)
#include <nash_swarm/core/region_avx2.inc>
#include <nash_swarm/rounding/beam_step.inc>
#include <nash_swarm/core/region_end.inc>
#include <nash_swarm/core/region_avx512.inc>
#include <nash_swarm/rounding/beam_step.inc>
#include <nash_swarm/core/region_end.inc>
#endif
// clang-format on

using SearchChannel = unsigned (*)(BeamMemory&, unsigned, unsigned, float&) noexcept;

inline SearchChannel search_channel_for(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (set == InstructionSet::avx512) return &avx512::search_channel;
  if (set == InstructionSet::avx2) return &avx2::search_channel;
#endif
  static_cast<void>(set);
  return &portable::search_channel;
}

template <class Stream>
const WindowValues& window_values() {
  static const WindowValues values = [] {
    WindowValues all;
    for (std::size_t w = 0; w < all.size(); ++w) {
      all[w] = Stream::value(static_cast<std::uint16_t>(w));
    }
    return all;
  }();
  return values;
}

/// Table over formats: what the search has to know.
struct BeamTable {
  template <ScalarFormat F>
  static ScalarChoice nearest(float target) noexcept {
    const std::uint16_t code = F::nearest(target);
    return {code, F::unit * static_cast<float>(F::value(code))};
  }
  template <BlockFormat F>
  static BeamFormat of() {
    BeamFormat format;
    format.unit = F::unit;
    if constexpr (StreamFormat<F>) {
      format.values = &window_values<typename F::Stream>();
      format.twice_bits = F::twice_bits;
      format.streams = F::Stream::streams;
      format.family = F::Stream::family;
    } else {
      format.nearest = &nearest<F>;
    }
    return format;
  }
};

inline const BeamFormat& beam_format(FormatId id) {
  static const auto formats = Formats::map<BeamTable>();
  return formats[format_index(id)];
}

/// The search for the codes of one row.
///
/// Sequences of codes grow channel by channel; the best ones survive, about `beam_width` of them,
/// each with the errors it has made so far: what those add to the targets of the next
/// `beam_lookahead` channels travels with the survivor. The choice of the best survivor that many
/// channels ago becomes final, and survivors that chose otherwise go; final errors add to the
/// targets of all channels beyond. (M-algorithm, Anderson and Mohan 1984, with the feedback of LDLQ
/// in every survivor.)
class BeamSearch {
 public:
  BeamSearch(const BeamRow& row, BeamMemory& memory, InstructionSet set)
      : row_(row),
        memory_(memory),
        search_channel_(search_channel_for(set)),
        far_(row.weights.size()),
        near_(row.weights.size()) {
    if (row_.feedback == nullptr) return;
    double sum = 0.0;
    for (std::size_t j = 0; j < row_.feedback->channels(); ++j) sum += row_.feedback->weight(j);
    unit_ = sum / static_cast<double>(row_.feedback->channels());
  }

  void run() noexcept {
    start();
    const std::size_t channels = row_.weights.size();
    for (std::size_t t = 0; t < channels; ++t) {
      prepare(t);
      alive_ = search_channel_(memory_, current_, alive_, margin_);
      current_ = 1 - current_;
      if (t + 1 >= beam_lookahead) decide(t + 1 - beam_lookahead);
    }
    finish(channels);
  }

 private:
  Survivors& survivors() noexcept { return memory_.survivors[current_]; }

  const BeamFormat& format_of(std::size_t channel) const {
    return beam_format(row_.formats[channel / block_channels]);
  }

  /// True where the streams start anew.
  bool is_fresh(std::size_t channel, const BeamFormat& format) const {
    if (channel % block_channels != 0) return false;
    return channel == 0 || format_of(channel - 1).family != format.family;
  }

  void start() noexcept {
    Survivors& first = survivors();
    std::fill_n(first.pending[0], beam_lookahead, 0.0f);
    first.cost[0] = 0.0f;
    first.windows[0] = first.recent[0] = first.older[0] = 0;
  }

  void prepare(std::size_t t) noexcept {
    BeamStep& step = memory_.step;
    const BeamFormat& format = format_of(t);
    if (is_fresh(t, format)) std::fill_n(survivors().windows, alive_, std::uint64_t{0});
    step.format = &format;
    step.bits = stream_bits(format.twice_bits, t % block_channels / format.streams);
    step.shift = static_cast<unsigned>(window_bits * (t % format.streams));
    step.place = static_cast<unsigned>(t % beam_lookahead);
    step.weight = row_.weights[t];
    step.target = step.weight + far_[t];
    step.price = 1.0f;
    std::fill_n(step.shares, beam_lookahead, 0.0f);
    if (row_.feedback == nullptr) return;
    step.price = static_cast<float>(row_.feedback->weight(t) / unit_);
    const float* shares = row_.feedback->from(t);
    const std::size_t last = std::min(row_.weights.size(), t + 1 + beam_lookahead);
    for (std::size_t k = t + 1; k < last; ++k) step.shares[k % beam_lookahead] = shares[k];
  }

  unsigned best_survivor() noexcept {
    const float* costs = survivors().cost;
    return static_cast<unsigned>(std::min_element(costs, costs + alive_) - costs);
  }

  /// Makes the best survivor's choice final, and removes the others that chose otherwise.
  void decide(std::size_t channel) noexcept {
    Survivors& now = survivors();
    const auto code = static_cast<unsigned>(now.older[best_survivor()] >> 60);
    unsigned kept = 0;
    for (unsigned j = 0; j < alive_; ++j) {
      if (now.older[j] >> 60 != code) continue;
      if (kept != j) {
        std::copy_n(now.pending[j], beam_lookahead, now.pending[kept]);
        now.cost[kept] = now.cost[j];
        now.windows[kept] = now.windows[j];
        now.recent[kept] = now.recent[j];
        now.older[kept] = now.older[j];
      }
      ++kept;
    }
    alive_ = kept;
    settle(channel, code);
  }

  /// Writes a final code and spreads its error.
  void settle(std::size_t channel, unsigned code) noexcept {
    const BeamFormat& format = format_of(channel);
    if (is_fresh(channel, format)) std::fill_n(windows_, most_streams, std::uint16_t{0});
    float value;
    if (format.values != nullptr) {
      std::uint16_t& window = windows_[channel % format.streams];
      const unsigned bits =
          stream_bits(format.twice_bits, channel % block_channels / format.streams);
      window = static_cast<std::uint16_t>((unsigned{window} << bits) | code);
      value = format.unit * static_cast<float>((*format.values)[window]);
      row_.codes[channel] = static_cast<std::uint16_t>(code);
    } else {
      const ScalarChoice choice =
          format.nearest(row_.weights[channel] + far_[channel] + near_[channel]);
      value = choice.value;
      row_.codes[channel] = choice.code;
    }
    row_.rounded[channel] = value;
    if (row_.feedback == nullptr) return;
    const float error = row_.weights[channel] - value;
    const float* shares = row_.feedback->from(channel);
    const std::size_t channels = row_.weights.size();
    const std::size_t beyond = std::min(channels, channel + 1 + beam_lookahead);
    for (std::size_t k = channel + 1; k < beyond; ++k) near_[k] += error * shares[k];
    for (std::size_t k = beyond; k < channels; ++k) far_[k] += error * shares[k];
  }

  void finish(std::size_t channels) noexcept {
    const unsigned best = best_survivor();
    const std::uint64_t recent = survivors().recent[best];
    const std::uint64_t older = survivors().older[best];
    const std::size_t undecided = std::min<std::size_t>(channels, beam_lookahead - 1);
    for (std::size_t back = undecided; back-- > 0;) {
      const std::uint64_t codes = back < 16 ? recent >> (4 * back) : older >> (4 * (back - 16));
      settle(channels - 1 - back, static_cast<unsigned>(codes & 0xfu));
    }
  }

  BeamRow row_;
  BeamMemory& memory_;
  SearchChannel search_channel_;
  AlignedBuffer<float> far_;   // what final errors add beyond the lookahead
  AlignedBuffer<float> near_;  // and within it
  std::uint16_t windows_[most_streams] = {};
  unsigned current_ = 0;
  unsigned alive_ = 1;
  double unit_ = 1.0;  // mean weight of the channels: the margin starts at the size of costs
  float margin_ = 1.0f;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
