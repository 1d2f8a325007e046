#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <nash_swarm/format/formats.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// How a decoder forms the index of a byte shuffle from the planes of a format: a field of the
/// lowest plane's bits of the last weights, the oldest in the lowest bits, and above it one of the
/// other plane's bits. A field is mostly one shift of a packed vector; the order of bits that comes
/// of it is made good by the order of the table.
struct IndexShape {
  unsigned bits;       ///< of a code
  unsigned low_width;  ///< bits of a code in the lowest plane
  unsigned low_count;  ///< weights whose lowest bits are part of the index
  unsigned high_width;
  unsigned high_count;

  constexpr unsigned low_bits() const noexcept { return low_width * low_count; }

  /// Bits of the codes of an index, as they follow one another in the stream.
  constexpr unsigned window(unsigned index) const noexcept {
    unsigned window = 0;
    for (unsigned age = 0; age < low_count; ++age) {
      const unsigned low = (index >> (low_width * (low_count - 1 - age))) & ((1u << low_width) - 1);
      unsigned high = 0;
      if (age < high_count) {
        high = (index >> (low_bits() + high_width * (high_count - 1 - age))) &
               ((1u << high_width) - 1);
      }
      window |= ((high << low_width) | low) << (bits * age);
    }
    return window;
  }
};

constexpr IndexShape scalar_shape(unsigned bits) noexcept {
  const unsigned low = low_plane_bits(bits);
  return {bits, low, 1, bits - low, bits > low ? 1u : 0u};
}

/// The oldest code of a window lacks its highest bits.
constexpr IndexShape window_shape(unsigned bits, unsigned window_bits) noexcept {
  const unsigned low = low_plane_bits(bits);
  const unsigned high = bits - low;
  return {bits, low, (window_bits + bits - 1) / bits, high,
          high == 0 ? 0 : (window_bits - low + bits - 1) / bits};
}

/// How a decoder gets values from indices.
enum class IndexUse : std::uint8_t {
  table,   ///< looks them up
  window,  ///< looks them up, but windows instead: two codes of 4 bits are more than one of 6
  filled,  ///< looks them up, the highest bit in the place of one that does not count
  code,    ///< they are the values
};

/// What is to be known of a format for its decoder. Values have an offset: they are 0 … 127.
template <class F>
struct LaneFigures;

template <unsigned Bits>
struct LaneFigures<ScalarCode<Bits>> {
  static constexpr IndexShape shape = scalar_shape(Bits);
  static constexpr IndexUse use = IndexUse::table;
  static constexpr unsigned window_bits = Bits;
  static constexpr std::size_t entries = 16;
  static constexpr int offset = 64;
};

template <unsigned Bits>
struct LaneFigures<LinearCode<Bits>> {
  static constexpr IndexShape shape = scalar_shape(Bits);
  static constexpr IndexUse use = IndexUse::code;
  static constexpr std::size_t entries = 0;
  static constexpr int offset = LinearCode<Bits>::offset;
};

template <unsigned Bits, unsigned WindowBits>
struct LaneFigures<TableCode<Bits, WindowBits>> {
  static constexpr IndexShape shape = window_shape(Bits, WindowBits);
  static constexpr IndexUse use = Bits == 4 && WindowBits == 6   ? IndexUse::window
                                  : Bits == 3 && WindowBits == 4 ? IndexUse::filled
                                                                 : IndexUse::table;
  static constexpr unsigned window_bits = WindowBits;
  static constexpr std::size_t entries = std::size_t{1} << WindowBits;
  static constexpr int offset = 64;
};

/// The largest value of a format: of all its windows, or codes.
template <class F>
inline constexpr int largest_value = [] {
  unsigned bits = 8 * F::block_bytes / block_weights;
  if constexpr (WindowFormat<F>) bits = F::window_bits;
  int largest = F::value(0);
  for (unsigned i = 1; i >> bits == 0; ++i) {
    const int value = F::value(static_cast<std::uint16_t>(i));
    if (value > largest) largest = value;
  }
  return largest;
}();
/// Some window has the largest entry of every table. (To try all windows takes clang++ seconds.)
template <unsigned Bits>
inline constexpr int largest_value<SumCode<Bits>> = [] {
  int sum = 0;
  for (const auto& entries : SumOf<Bits>::tables.entries) {
    int largest = entries[0];
    for (const int entry : entries) {
      if (entry > largest) largest = entry;
    }
    sum += largest;
  }
  return sum;
}();

/// The bytes of a decoder's table.
template <class F>
constexpr auto lane_table() noexcept {
  using Figures = LaneFigures<F>;
  constexpr IndexShape shape = Figures::shape;
  std::array<std::uint8_t, Figures::entries> bytes{};
  for (unsigned i = 0; i < bytes.size(); ++i) {
    unsigned window = i;
    if (Figures::use == IndexUse::table) window = shape.window(i);
    if (Figures::use == IndexUse::filled) window = (i & 1u) << 3 | (i & 2u) << 1 | i >> 2;
    constexpr unsigned mask = (1u << (Figures::shape.low_count > 1 ? 8 : shape.bits)) - 1u;
    window &= mask & static_cast<unsigned>(bytes.size() - 1);
    bytes[i] = static_cast<std::uint8_t>(F::value(static_cast<std::uint16_t>(window)) +
                                         Figures::offset);
  }
  return bytes;
}

/// The bytes of one of a decoder's tables of sums: the offset of the values is that of the first.
template <unsigned Bits>
constexpr std::array<std::uint8_t, 16> sum_table(std::size_t table) noexcept {
  std::array<std::uint8_t, 16> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(SumOf<Bits>::tables.entries[table][i] +
                                         (table == 0 ? 64 : 0));
  }
  return bytes;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
