#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include <nash_swarm/format/panel.hpp>

/// Codes of 1 … 6 and 8 bits in the panel layout.
///
/// A code is split into planes of 8, 4, 2 or 1 bits, lowest bits first: 3 = 2 + 1, 5 = 4 + 1,
/// 6 = 4 + 2. In a plane of w bits, 8/w consecutive vectors of the block share one 64-byte vector;
/// vector v has its bits at shift w·(v mod 8/w) of packed vector v·w/8. A decoder needs one load per
/// 512/w codes, one shift and one mask per plane. The planes of a block follow one another, so a
/// block of b-bit codes takes 128·b bytes.
namespace nash_swarm {
namespace detail {

inline constexpr std::size_t vector_bytes = 64;
inline constexpr std::size_t block_vectors = block_weights / vector_bytes;

inline namespace NASH_SWARM_TARGET {

/// What a plane has of one of 8 codes that lie in the same byte of 8 vectors.
/// @param byte that of the first vector
template <unsigned Bits>
unsigned plane_bits(const std::byte* byte, std::size_t vector) noexcept {
  const auto codes = std::to_integer<unsigned>(byte[vector * Bits / 8 * vector_bytes]);
  return (codes >> (vector * Bits % 8)) & ((1u << Bits) - 1u);
}

template <unsigned Bits>
void pack_plane(const std::uint8_t (&codes)[block_vectors][vector_bytes], unsigned place,
                std::uint8_t* plane) noexcept {
  constexpr unsigned mask = (1u << Bits) - 1u;
  for (std::size_t v = 0; v < block_vectors; ++v) {
    std::uint8_t* packed = plane + v * Bits / 8 * vector_bytes;
    const unsigned shift = static_cast<unsigned>(v * Bits % 8);
    for (std::size_t i = 0; i < vector_bytes; ++i) {
      packed[i] =
          static_cast<std::uint8_t>(packed[i] | (((codes[v][i] >> place) & mask) << shift));
    }
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Width of the lowest plane of a `bits`-wide code; the rest is the second plane.
constexpr unsigned low_plane_bits(unsigned bits) noexcept {
  return bits >= 8 ? 8u : bits >= 4 ? 4u : bits >= 2 ? 2u : 1u;
}

constexpr std::size_t plane_block_bytes(unsigned bits) noexcept {
  return block_weights / 8 * bits;
}

/// Codes of a row of a block from the 128·Bits bytes of the block.
/// @param codes receives 64
template <unsigned Bits>
void unpack_row(const std::byte* bytes, std::size_t row, std::uint16_t* codes) noexcept {
  static_assert(Bits >= 1 && Bits <= 8 && Bits != 7, "7 bits would need three planes");
  constexpr unsigned low = low_plane_bits(Bits);
  constexpr unsigned high = Bits - low;
  for (std::size_t first = 0; first < block_channels; first += 8) {  // see lane_channel
    const std::size_t half = first / 32 * detail::vector_bytes;
    const std::byte* lane = bytes + 4 * row + first % 32 / 8;
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) {
      unsigned code = detail::plane_bits<low>(lane + half * low, i);
      if constexpr (high != 0) {
        code |= detail::plane_bits<high>(lane + plane_block_bytes(low) + half * high, i) << low;
      }
      codes[first + i] = static_cast<std::uint16_t>(code);
    }
  }
}

/// Values of rows of a block, each that of a code.
/// @param first of the rows
template <class F, unsigned Bits>
void decode_plane_rows(const std::byte* bytes, std::size_t first, std::size_t count,
                       RowValues* values) noexcept {
  for (std::size_t i = 0; i < count; ++i) {
    std::uint16_t codes[block_channels];
    unpack_row<Bits>(bytes, first + i, codes);
    for (std::size_t k = 0; k < block_channels; ++k) values[i][k] = F::value(codes[k]);
  }
}

/// The 128·Bits bytes of one block; each code must be below 2^Bits.
template <unsigned Bits>
void pack_codes(const BlockCodes& codes, std::byte* bytes) noexcept {
  static_assert(Bits >= 1 && Bits <= 8 && Bits != 7, "7 bits would need three planes");
  constexpr unsigned low = low_plane_bits(Bits);
  auto* planes = reinterpret_cast<std::uint8_t*>(bytes);
  std::memset(planes, 0, plane_block_bytes(Bits));
  std::uint8_t vectors[detail::block_vectors][detail::vector_bytes];
  for (std::size_t v = 0; v < detail::block_vectors; ++v) {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t byte = 0; byte < 4; ++byte) {
        vectors[v][4 * row + byte] =
            static_cast<std::uint8_t>(codes.at[row][lane_channel(v, byte)]);
      }
    }
  }
  detail::pack_plane<low>(vectors, 0, planes);
  if constexpr (Bits > low) {
    detail::pack_plane<Bits - low>(vectors, low, planes + plane_block_bytes(low));
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
