#pragma once

#include <cstddef>
#include <cstdint>

#include <nash_swarm/format/panel.hpp>

namespace nash_swarm {

/// Formats whose codes form streams: the value of a weight depends on the last 16 bits of its
/// stream, its window. Neighbouring blocks of one family share their streams.
enum class StreamFamily : std::uint8_t { none, hash16, hash32 };

inline constexpr std::size_t most_streams = 2;
inline constexpr unsigned window_bits = 16;

/// What a decoder carries from block to block along a panel. A stream starts with a window of
/// zeros, which takes no bytes, and starts anew after a block of another family.
struct StreamState {
  StreamFamily family = StreamFamily::none;
  std::uint16_t windows[panel_rows][most_streams] = {};

  void enter(StreamFamily next) noexcept {
    if (next != family) *this = {next, {}};
  }
};

inline namespace NASH_SWARM_TARGET {

/// Bits that a weight adds to its stream: at half-bit rates the smaller number comes first.
/// @param step place of the weight in its stream, counted from the start of a block
constexpr unsigned stream_bits(unsigned twice_bits, std::size_t step) noexcept {
  return (twice_bits + static_cast<unsigned>(step % 2)) / 2;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
