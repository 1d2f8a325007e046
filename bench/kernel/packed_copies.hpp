#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "kernel/memory.hpp"

namespace bench {

/// A shape [out, in] of a matrix.
struct Shape {
  std::size_t out;
  std::size_t in;
};

/// The cells of a matrix all of one format, or "mixed": runs of 64 to 256 channels of 2, 3, 4 and 6
/// bits, 3 bits on average.
/// @throws nash_swarm::Error for an unknown name
nash_swarm::CellMap make_cells(std::string_view format, const Shape& shape);

/// Packed matrices of one shape and format with random codes, as many as fill the working set, to
/// be multiplied by in turn. Inputs are rotated by the widest rotation that fits.
class PackedCopies {
 public:
  PackedCopies(std::string_view format, const Shape& shape, Pages pages);

  std::size_t count() const { return matrices_.size(); }
  /// All that is read of a matrix for a product.
  std::size_t matrix_bytes() const { return matrices_.front().stored_bytes(); }
  const nash_swarm::PackedMatrix& next() { return matrices_[turn_++ % matrices_.size()]; }

 private:
  std::vector<nash_swarm::PackedMatrix> matrices_;
  std::size_t turn_ = 0;
};

}  // namespace bench
