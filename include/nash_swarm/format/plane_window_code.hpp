#pragma once

#include <cstddef>

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

  static void decode(const std::byte* bytes, BlockValues& values) noexcept {
    BlockCodes codes;
    unpack_codes<Bits>(bytes, codes);
    windows_to_values<Code>(codes, values);
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
