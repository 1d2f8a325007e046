#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace window_tables {

/// Bits of a weight and of its window.
struct Shape {
  unsigned bits;
  unsigned window_bits;
};

/// Windows of 12 bits have three tables of 16 entries, whose sums are the values; others have one.
inline constexpr Shape shapes[] = {{1, 4}, {2, 4}, {3, 4}, {1, 6},  {2, 6},  {3, 6},  {4, 6}, {1, 8},
                                   {2, 8}, {3, 8}, {4, 8}, {1, 12}, {2, 12}, {3, 12}, {4, 12}};

/// Tables for weights of standard deviation 1; values are −63 … 63.
struct Tables {
  std::vector<std::vector<int>> entries;
  double unit;   ///< of one step
  double noise;  ///< mean squared error on other samples than they were made from
};

/// "b3_l4"
std::string name_of(const Shape& shape);

/// The best of several starts of Lloyd's algorithm: the windows of Gaussian samples are searched
/// for, every value moves to the mean of the samples that chose it (sums: as near as they can), and
/// so on.
Tables optimised(const Shape& shape);

/// A line of C++ that defines the tables.
std::string array_text(const Shape& shape, const Tables& tables);

}  // namespace window_tables
