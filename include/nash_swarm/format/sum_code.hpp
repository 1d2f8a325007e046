#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nash_swarm/format/format.hpp>
#include <nash_swarm/format/plane_window_code.hpp>
#include <nash_swarm/format/sum_tables.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Which entry of one of its tables a window of 12 bits takes: 4 bits of the stream that lie side by
/// side in a plane, the oldest lowest. A code of 3 bits has two planes: tables 0 and 1 take the
/// lowest two bits of the last four codes, table 2 the highest ones.
constexpr unsigned sum_index(unsigned bits, std::size_t table, unsigned window) noexcept {
  const bool split = bits == 3;
  const bool high = split && table == 2;
  const unsigned width = high ? 1 : split ? 2 : bits;  // bits of a code that count
  const unsigned codes = 4 / width;
  const unsigned first = high ? 0 : static_cast<unsigned>(table) * codes;  // the newest of them
  unsigned index = 0;
  for (unsigned age = first; age < first + codes; ++age) {
    const unsigned code = (window >> (bits * age)) >> (high ? 2 : 0);
    index |= (code & ((1u << width) - 1u)) << (width * (first + codes - 1 - age));
  }
  return index;
}

/// The tables of a code, and its name.
template <unsigned Bits>
struct SumOf;

#define NASH_SWARM_SUM(Bits)                                              \
  template <>                                                             \
  struct SumOf<Bits> {                                                    \
    static constexpr std::string_view name = "b" #Bits "_l12";            \
    static constexpr const auto& tables = sum_tables::b##Bits##_l12;      \
  }
NASH_SWARM_SUM(1);
NASH_SWARM_SUM(2);
NASH_SWARM_SUM(3);
NASH_SWARM_SUM(4);
#undef NASH_SWARM_SUM

/// Window code of 12 bits whose values are sums of three table entries, −63 … 63: as good as a table
/// of 256 entries or better, and looked up by three shuffles of 16 entries, which all instruction
/// sets have.
///
/// Codes lie in planes like those of scalar formats, so most indices are found by one shift, and
/// serve for the other tables a vector or several later.
template <unsigned Bits>
struct SumCode : PlaneWindowCode<SumCode<Bits>, Bits> {
  static constexpr WindowFamily family = WindowFamily::sum;
  static constexpr unsigned window_bits = 12;

  static constexpr FormatId id{0x70 + Bits};
  static constexpr std::string_view name = SumOf<Bits>::name;
  static constexpr float unit = SumOf<Bits>::tables.unit;
  static constexpr double gaussian_noise = SumOf<Bits>::tables.noise;

  static constexpr std::int8_t value(std::uint16_t window) noexcept {
    int sum = 0;
    for (std::size_t table = 0; table < sum_table_count; ++table) {
      sum += SumOf<Bits>::tables.entries[table][sum_index(Bits, table, window)];
    }
    return static_cast<std::int8_t>(sum);
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
