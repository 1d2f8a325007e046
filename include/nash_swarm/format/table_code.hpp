#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nash_swarm/format/format.hpp>
#include <nash_swarm/format/plane_window_code.hpp>
#include <nash_swarm/format/window_tables.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// The table of a code, and its name.
template <unsigned Bits, unsigned WindowBits>
struct TableOf;

#define NASH_SWARM_TABLE(Bits, WindowBits)                                           \
  template <>                                                                        \
  struct TableOf<Bits, WindowBits> {                                                 \
    static constexpr std::string_view name = "b" #Bits "_l" #WindowBits;             \
    static constexpr const auto& table = window_tables::b##Bits##_l##WindowBits;     \
  }
NASH_SWARM_TABLE(1, 4);
NASH_SWARM_TABLE(2, 4);
NASH_SWARM_TABLE(3, 4);
NASH_SWARM_TABLE(1, 6);
NASH_SWARM_TABLE(2, 6);
NASH_SWARM_TABLE(3, 6);
NASH_SWARM_TABLE(4, 6);
NASH_SWARM_TABLE(1, 8);
NASH_SWARM_TABLE(2, 8);
NASH_SWARM_TABLE(3, 8);
NASH_SWARM_TABLE(4, 8);
#undef NASH_SWARM_TABLE

/// Window code whose values stand in a table; values are −63 … 63, so that with 64 added they are
/// 7-bit bytes.
///
/// Codes lie in planes like those of scalar formats, so a tile is one byte of the lanes of 8
/// consecutive vectors. A decoder puts the lowest bits of the vector before above the codes, and
/// looks the windows up with a byte shuffle.
template <unsigned Bits, unsigned WindowBits>
struct TableCode : PlaneWindowCode<TableCode<Bits, WindowBits>, Bits> {
  static_assert(Bits < WindowBits && WindowBits <= 8);
  static constexpr WindowFamily family = WindowFamily::table;
  static constexpr unsigned window_bits = WindowBits;

  static constexpr FormatId id{0x10 * (WindowBits / 2) + Bits};
  static constexpr std::string_view name = TableOf<Bits, WindowBits>::name;
  static constexpr float unit = TableOf<Bits, WindowBits>::table.unit;
  static constexpr double gaussian_noise = TableOf<Bits, WindowBits>::table.noise;

  static constexpr std::int8_t value(std::uint16_t window) noexcept {
    return TableOf<Bits, WindowBits>::table.values[window];
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
