#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace nash_swarm {

/// Tables of a code whose values are sums.
inline constexpr std::size_t sum_table_count = 3;

/// Entries of the tables; sums of one of each are −63 … 63.
struct SumTables {
  float unit;    ///< size of one step for weights of standard deviation 1
  double noise;  ///< mean squared error of such weights
  std::array<std::array<std::int8_t, 16>, sum_table_count> entries;
};

/// Tables for Gaussian weights, made by the program make_window_tables (examples/).
namespace sum_tables {

// clang-format off
inline constexpr SumTables b1_l12{0.04364f, 0.298, {{{{25, -7, -7, 11, 22, -1, 27, 7, -5, -1, 23, 9,
    0, 27, -5, 6}}, {{8, 7, 4, 8, 12, 0, 6, -17, 8, 9, 1, 1, -11, 15, 6, 21}}, {{-1, -33, -5, -27,
    -25, -12, 1, -6, -26, 15, -36, 0, -17, -7, -5, -25}}}}};
inline constexpr SumTables b2_l12{0.05191f, 0.0771, {{{{28, -23, -15, 4, -16, 2, 18, 19, 8, -10, 15,
    9, 0, 16, 3, -10}}, {{4, 3, -2, 5, -2, 8, -10, -10, -3, 2, 21, 1, -5, 11, -2, 17}}, {{-12, -16,
    -2, 13, -11, 0, -13, 11, -14, 14, -2, -27, 6, -4, -26, -10}}}}};
inline constexpr SumTables b3_l12{0.05680f, 0.02, {{{{16, -27, -4, 8, -24, -4, 3, 18, 31, 4, -12,
    -2, -10, -14, 11, 2}}, {{-7, 7, 1, 12, -7, 0, -12, 4, 2, -7, 2, 8, 7, 0, -2, 11}}, {{-5, 3, -11,
    9, -14, 9, -1, 10, -3, 20, 5, -21, 11, -1, -9, -14}}}}};
inline constexpr SumTables b4_l12{0.06161f, 0.00554, {{{{16, -14, -6, 3, 0, 10, 1, -8, 19, 11, 21,
    -3, -21, 8, -12, 5}}, {{-3, 10, -22, 9, -3, -10, -11, -16, 7, 10, -10, 1, 2, 28, 1, 2}}, {{10,
    5, 9, -15, -20, 1, 6, -16, 5, -1, -7, -3, 5, 3, -11, 13}}}}};
// clang-format on

}  // namespace sum_tables
}  // namespace nash_swarm
