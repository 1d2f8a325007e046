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

/// Values of some rows of a block; the windows of the first begin with the codes of the rows above.
/// @tparam Code has `unpack_row(bytes, row, codes)`, `value(window)`, `window_bits` and
/// `twice_bits`
template <class Code>
void decode_windows(const std::byte* bytes, std::size_t first, std::size_t count,
                    RowValues* values) noexcept {
  constexpr std::uint32_t mask = (1u << Code::window_bits) - 1u;
  constexpr unsigned row_bits = Code::twice_bits * tile_channels / 2;
  constexpr std::size_t above = (Code::window_bits + row_bits - 1) / row_bits;
  std::uint16_t codes[above + panel_rows][block_channels];
  for (std::size_t i = 0; i < above + count; ++i) {
    Code::unpack_row(bytes, (first + panel_rows - above + i) % panel_rows, codes[i]);
  }
  for (std::size_t tile = 0; tile < block_channels; tile += tile_channels) {
    std::uint32_t window = 0;
    const auto push = [&](std::size_t i, std::size_t k) {
      window = (window << stream_bits(Code::twice_bits, k)) | codes[i][k];
    };
    for (std::size_t i = 0; i < above; ++i) {
      for (std::size_t k = tile; k < tile + tile_channels; ++k) push(i, k);
    }
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = tile; k < tile + tile_channels; ++k) {
        push(above + i, k);
        values[i][k] = Code::value(static_cast<std::uint16_t>(window & mask));
      }
    }
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
