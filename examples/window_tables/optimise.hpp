#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace window_tables {

/// Bits of a weight and of its window.
struct Shape {
  unsigned bits;
  unsigned window_bits;
};

inline constexpr Shape shapes[] = {{1, 4}, {2, 4}, {3, 4}, {1, 6}, {2, 6}, {3, 6},
                                   {4, 6}, {1, 8}, {2, 8}, {3, 8}, {4, 8}};

/// A table for weights of standard deviation 1.
struct Table {
  std::vector<int> values;  ///< [2^window_bits], −63 … 63
  double unit;              ///< of one step
  double noise;             ///< mean squared error on other samples than it was made from
};

/// "b3_l4"
std::string name_of(const Shape& shape);

/// The best of several starts of Lloyd's algorithm: the windows of Gaussian samples are searched
/// for, every value moves to the mean of the samples that chose it, and so on.
Table optimised(const Shape& shape);

/// A line of C++ that defines the table.
std::string array_text(const Shape& shape, const Table& table);

}  // namespace window_tables
