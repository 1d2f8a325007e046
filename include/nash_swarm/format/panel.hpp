#pragma once

#include <cstddef>
#include <cstdint>

#include <nash_swarm/core/config.hpp>

/// The panel layout: how the codes of 16 output rows lie in memory.
///
/// A panel is 16 output rows, and a block is 64 input channels of a panel: 1,024 weights, the
/// smallest piece that has a format of its own. A block of 8-bit codes is 16 vectors of 64 bytes; a
/// 32-bit lane is one row, and its four bytes are four channels (`lane_channel`), which is what a
/// four-byte dot product with four broadcast activations wants. The channels of a lane are 8 apart,
/// so that 8 consecutive channels lie in the same byte of 8 consecutive vectors. Narrower codes keep
/// this order and share bytes: see code_planes.hpp.
namespace nash_swarm {

inline constexpr std::size_t panel_rows = 16;
inline constexpr std::size_t block_channels = 64;
inline constexpr std::size_t block_weights = panel_rows * block_channels;

/// Decoded integer values of a row of a block.
using RowValues = std::int16_t[block_channels];

/// Decoded integer values of one block, row by row.
struct BlockValues {
  alignas(64) RowValues at[panel_rows];
};

/// Codes of one block, row by row, before packing.
struct BlockCodes {
  alignas(64) std::uint16_t at[panel_rows][block_channels];
};

inline namespace NASH_SWARM_TARGET {

constexpr std::size_t round_up(std::size_t value, std::size_t multiple) noexcept {
  return (value + multiple - 1) / multiple * multiple;
}

/// The channel of a block whose codes lie in that byte of the 32-bit lanes of that vector.
constexpr std::size_t lane_channel(std::size_t vector, std::size_t byte) noexcept {
  return 32 * (vector / 8) + 8 * byte + vector % 8;
}

/// Number of panels of a matrix with that many output features; the last one is padded.
constexpr std::size_t panel_count(std::size_t out_features) noexcept {
  return round_up(out_features, panel_rows) / panel_rows;
}

/// Number of 64-channel blocks of a matrix with that many input features; the last one is padded.
constexpr std::size_t block_count(std::size_t in_features) noexcept {
  return round_up(in_features, block_channels) / block_channels;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
