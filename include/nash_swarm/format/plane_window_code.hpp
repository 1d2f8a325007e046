#pragma once

#include <cstddef>
#include <cstdint>

#include <nash_swarm/format/code_planes.hpp>
#include <nash_swarm/format/window_code.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// What window codes share whose codes lie in planes like those of scalar formats: a tile is one
/// byte of the lanes of 8 consecutive vectors.
/// @tparam Code has `value(window)` and `window_bits`
template <class Code, unsigned Bits>
struct PlaneWindowCode {
  static constexpr unsigned twice_bits = 2 * Bits;
  static constexpr std::size_t block_bytes = plane_block_bytes(Bits);

  static void encode(const BlockCodes& codes, std::byte* bytes) noexcept {
    pack_codes<Bits>(codes, bytes);
  }

  static void unpack_row(const std::byte* bytes, std::size_t row, std::uint16_t* codes) noexcept {
    nash_swarm::unpack_row<Bits>(bytes, row, codes);
  }

  static void decode_rows(const std::byte* bytes, std::size_t first, std::size_t count,
                          RowValues* values) noexcept {
    decode_windows<Code>(bytes, first, count, values);
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
