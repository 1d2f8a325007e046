#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

#include <nash_swarm/format/formats.hpp>

/// What the bytes of a block stand for, as the documents describe it: no code of the library but
/// the values of windows, one weight after the other.
namespace reference {

inline unsigned byte_at(const std::byte* bytes, std::size_t place) {
  return std::to_integer<unsigned>(bytes[place]);
}

/// `width` bits of (row, channel) in a plane. Four channels that are 8 apart make a group: 32·a +
/// i, 32·a + 8 + i, … share the lanes of vector 8·a + i, the first in byte 4·row, the second in
/// byte 4·row + 1. A 64-byte vector of the plane is shared by 8/width groups, the first in the
/// lowest bits.
inline unsigned plane_bits(const std::byte* plane, std::size_t width, std::size_t row,
                           std::size_t channel) {
  const std::size_t group = channel / 32 * 8 + channel % 8;
  const std::size_t shared = 8 / width;
  const unsigned byte = byte_at(plane, 64 * (group / shared) + 4 * row + channel % 32 / 8);
  return (byte >> (width * (group % shared))) & ((1u << width) - 1u);
}

inline int signed_16(unsigned low, unsigned high) {
  const int bits = static_cast<int>(low + 256 * high);
  return bits >= 32768 ? bits - 65536 : bits;
}

/// Integer value of one weight of a format without windows.
inline int integer_of_code(unsigned format, const std::byte* block, std::size_t row,
                           std::size_t channel) {
  static constexpr int levels_2[4] = {-63, -19, 19, 63};
  static constexpr int levels_3[8] = {-63, -39, -22, -7, 7, 22, 39, 63};
  static constexpr int levels_4[16] = {-63, -48, -37, -29, -22, -15, -9, -3,
                                       3,   9,   15,  22,  29,  37,  48, 63};
  const auto bits = [&](std::size_t start, std::size_t width) {
    return plane_bits(block + start, width, row, channel);
  };
  switch (format) {
    case 0:
      return 0;
    case 2:
      return levels_2[bits(0, 2)];
    case 3:
      return levels_3[bits(0, 2) + 4 * bits(256, 1)];
    case 4:
      return levels_4[bits(0, 4)];
    case 5:
      return static_cast<int>(bits(0, 4) + 16 * bits(512, 1)) - 16;
    case 6:
      return static_cast<int>(bits(0, 4) + 16 * bits(512, 2)) - 32;
    case 8:
      return static_cast<int>(bits(0, 8)) - 128;
    case 16: {
      const std::size_t place = 64 * (channel / 2) + 4 * row + 2 * (channel % 2);
      return signed_16(byte_at(block, place), byte_at(block, place + 1));
    }
    default:
      throw std::logic_error("no such format");
  }
}

/// Twice the bits of a weight. Numbers of window formats end with the bits, those of hashes with
/// twice the bits.
inline unsigned twice_bits(unsigned format) {
  if (format < 0x20) return 2 * format;
  const bool is_hash = format / 16 == 5 || format / 16 == 6;
  return (is_hash ? 1 : 2) * (format % 16);
}

inline std::size_t block_bytes(unsigned format) {
  return std::size_t{64} * twice_bits(format);
}

/// By row and channel.
using BlockIntegers = std::array<std::array<int, 64>, 16>;

/// What a weight adds to its stream.
struct StreamBits {
  unsigned bits;
  unsigned count;
};

/// In planes as scalar formats have them.
inline StreamBits bits_in_planes(unsigned width, const std::byte* block, std::size_t row,
                                 std::size_t channel) {
  if (width != 3) return {plane_bits(block, width, row, channel), width};
  const unsigned high = plane_bits(block + 256, 1, row, channel);
  return {plane_bits(block, 2, row, channel) + 4 * high, width};
}

/// In the 16-bit words of a row and of every second tile, from the highest bit on. At half-bit
/// rates the second of two weights adds the bit more.
inline StreamBits bits_in_words(unsigned twice_bits, const std::byte* block, std::size_t row,
                                std::size_t channel) {
  const std::size_t step = channel / 16 * 8 + channel % 8;  // of this half of the channels
  const std::size_t first = step * twice_bits / 2;
  const std::size_t past = (step + 1) * twice_bits / 2;
  StreamBits own{0, static_cast<unsigned>(past - first)};
  for (std::size_t bit = first; bit < past; ++bit) {
    const std::size_t place = 64 * (bit / 16) + 4 * row + 2 * (channel / 8 % 2);
    const unsigned word = byte_at(block, place) + 256 * byte_at(block, place + 1);
    own.bits = 2 * own.bits + (word >> (15 - bit % 16)) % 2;
  }
  return own;
}

/// The values of a format's windows.
struct WindowValues {
  unsigned window_bits;  // 0 without windows
  int (*value)(unsigned window);

  template <class F>
  static constexpr WindowValues of() {
    if constexpr (nash_swarm::WindowFormat<F>) {
      return {F::window_bits,
              [](unsigned window) -> int { return F::value(static_cast<std::uint16_t>(window)); }};
    } else {
      return {0, nullptr};
    }
  }
};
inline constexpr auto window_values = nash_swarm::Formats::map<WindowValues>();

/// Integer values of a block of a format with windows, the last bits of the stream that ends with a
/// weight. It runs through a tile, 16 rows of 8 channels, row after row, and begins where it ends.
inline BlockIntegers integers_of_windows(unsigned format, const std::byte* block) {
  const unsigned twice = twice_bits(format);
  const auto [window_bits, value] =
      window_values[nash_swarm::format_index(nash_swarm::FormatId(format))];
  BlockIntegers integers{};
  for (std::size_t tile = 0; tile < 8; ++tile) {
    unsigned window = 0;
    for (std::size_t i = 128 - 16; i < 2 * 128; ++i) {  // 16 weights before the first one
      const std::size_t row = i % 128 / 8;
      const std::size_t channel = 8 * tile + i % 8;
      const StreamBits own = window_bits == 16 ? bits_in_words(twice, block, row, channel)
                                               : bits_in_planes(twice / 2, block, row, channel);
      window = ((window << own.count) | own.bits) & ((1u << window_bits) - 1u);
      integers[row][channel] = value(window);
    }
  }
  return integers;
}

/// Integer values of a block.
inline BlockIntegers integers_of(unsigned format, const std::byte* block) {
  if (format >= 0x20) return integers_of_windows(format, block);
  BlockIntegers integers{};
  for (std::size_t row = 0; row < 16; ++row) {
    for (std::size_t k = 0; k < 64; ++k) integers[row][k] = integer_of_code(format, block, row, k);
  }
  return integers;
}

/// Size of one integer step for weights of standard deviation 1.
inline double unit(unsigned format) {
  switch (format) {
    case 0:
      return 1;
    case 2:
      return 1.5104 / 63;
    case 3:
      return 2.1519 / 63;
    case 4:
      return 2.7326 / 63;
    case 5:
      return 0.1881;
    case 6:
      return 0.1041;
    case 8:
      return 0.0308;
    case 16:
      return 1.0 / 4096;
    default:
      return static_cast<double>(
          nash_swarm::format_table[nash_swarm::format_index(nash_swarm::FormatId(format))].unit);
  }
}

}  // namespace reference
