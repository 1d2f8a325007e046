#pragma once

#include <cstddef>
#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace transformer {

/// An owned float32 matrix [rows, columns], row-major, zeroed unless said otherwise.
class FloatMatrix {
 public:
  FloatMatrix() noexcept = default;
  FloatMatrix(std::size_t rows, std::size_t columns)
      : data_(rows * columns), rows_(rows), columns_(columns) {}

  /// A matrix with nothing in it yet, for what is written whole before it is read.
  static FloatMatrix for_overwrite(std::size_t rows, std::size_t columns) {
    FloatMatrix matrix;
    matrix.data_ = nash_swarm::AlignedBuffer<float>::for_overwrite(rows * columns);
    matrix.rows_ = rows;
    matrix.columns_ = columns;
    return matrix;
  }

  std::size_t rows() const noexcept { return rows_; }
  std::size_t columns() const noexcept { return columns_; }
  nash_swarm::TensorView<float, 2> view() { return {data_.data(), {rows_, columns_}}; }
  nash_swarm::TensorView<const float, 2> view() const { return {data_.data(), {rows_, columns_}}; }

 private:
  nash_swarm::AlignedBuffer<float> data_;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
};

}  // namespace transformer
