#pragma once

#include <cstddef>
#include <cstdint>

#include <nash_swarm/format/panel.hpp>

/// Window codes: the value of a weight depends on its window, the last bits of a stream to which
/// every weight adds its own code of a few bits (trellis-coded quantization with a bitshift trellis,
/// Tseng et al. 2024, QTIP, section 3.1). So a weight of 3 bits chooses among far more than 8 values.
///
/// A stream runs through a tile, 16 rows × 8 consecutive channels: row 0's weights, then row 1's,
/// and after row 15's it closes into a ring, so that the windows of the first weights begin with the
/// codes of the last. A tile can be decoded without any other. A decoder that works on all rows at
/// once gets the beginnings of the windows by turning a vector by one row.
namespace nash_swarm {

/// Where a format gets the values of its windows from: a table, the sum of entries of several ones,
/// or a hash; `none` has no windows.
enum class WindowFamily : std::uint8_t { none, table, sum, hash16, hash32 };

/// Channels of a tile.
inline constexpr std::size_t tile_channels = 8;
/// Weights of a tile.
inline constexpr std::size_t tile_weights = panel_rows * tile_channels;

inline namespace NASH_SWARM_TARGET {

/// Bits that a weight adds to its stream: at half-bit rates the smaller number comes first.
/// @param channel of the weight, counted from any multiple of 2
constexpr unsigned stream_bits(unsigned twice_bits, std::size_t channel) noexcept {
  return (twice_bits + static_cast<unsigned>(channel % 2)) / 2;
}

/// Values of a block from the codes of its weights.
/// @tparam Code has `value(window)`, `window_bits` and `twice_bits`
template <class Code>
void windows_to_values(const BlockCodes& codes, BlockValues& values) noexcept {
  constexpr std::uint32_t mask = (1u << Code::window_bits) - 1u;
  for (std::size_t first = 0; first < block_channels; first += tile_channels) {
    std::uint32_t window = 0;
    const auto push = [&](std::size_t row, std::size_t k) {
      window = (window << stream_bits(Code::twice_bits, k)) | codes.at[row][first + k];
    };
    for (std::size_t row = panel_rows - 2; row < panel_rows; ++row) {  // 16 bits or more
      for (std::size_t k = 0; k < tile_channels; ++k) push(row, k);
    }
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t k = 0; k < tile_channels; ++k) {
        push(row, k);
        values.at[row][first + k] = Code::value(static_cast<std::uint16_t>(window & mask));
      }
    }
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
