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

template <unsigned Bits>
void unpack_plane(const std::uint8_t* plane, unsigned place,
                  std::uint8_t (&codes)[block_vectors][vector_bytes]) noexcept {
  constexpr unsigned mask = (1u << Bits) - 1u;
  for (std::size_t v = 0; v < block_vectors; ++v) {
    const std::uint8_t* packed = plane + v * Bits / 8 * vector_bytes;
    const unsigned shift = static_cast<unsigned>(v * Bits % 8);
    for (std::size_t i = 0; i < vector_bytes; ++i) {
      codes[v][i] =
          static_cast<std::uint8_t>(codes[v][i] | (((packed[i] >> shift) & mask) << place));
    }
  }
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

/// Codes of one block from its 128·Bits bytes.
template <unsigned Bits>
void unpack_codes(const std::byte* bytes, BlockCodes& codes) noexcept {
  static_assert(Bits >= 1 && Bits <= 8 && Bits != 7, "7 bits would need three planes");
  constexpr unsigned low = low_plane_bits(Bits);
  const auto* planes = reinterpret_cast<const std::uint8_t*>(bytes);
  std::uint8_t vectors[detail::block_vectors][detail::vector_bytes] = {};
  detail::unpack_plane<low>(planes, 0, vectors);
  if constexpr (Bits > low) {
    detail::unpack_plane<Bits - low>(planes + plane_block_bytes(low), low, vectors);
  }
  for (std::size_t v = 0; v < detail::block_vectors; ++v) {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t byte = 0; byte < 4; ++byte) {
        codes.at[row][lane_channel(v, byte)] = vectors[v][4 * row + byte];
      }
    }
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
