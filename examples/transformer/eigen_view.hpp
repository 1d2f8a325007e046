#pragma once

/// TensorViews as Eigen expressions; included by .cpp files only, since Eigen is slow to compile.
/// Eigen's own threads are off: work is shared out by the thread pool alone.
#ifndef EIGEN_DONT_PARALLELIZE
#define EIGEN_DONT_PARALLELIZE
#endif

#include <Eigen/Core>
#include <cstddef>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <span>

namespace transformer {

using RowMajorMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using MatrixMap = Eigen::Map<RowMajorMatrix, Eigen::Unaligned, Eigen::OuterStride<>>;
using ConstMatrixMap = Eigen::Map<const RowMajorMatrix, Eigen::Unaligned, Eigen::OuterStride<>>;
using RowMap = Eigen::Map<Eigen::ArrayXf>;
using ConstRowMap = Eigen::Map<const Eigen::ArrayXf>;

inline Eigen::Index eigen_index(std::size_t value) {
  return static_cast<Eigen::Index>(value);
}

/// The view as an Eigen matrix; its rows must be contiguous.
template <class T>
auto eigen_matrix(nash_swarm::TensorView<T, 2> view) {
  if (view.extent(1) > 1 && view.stride(1) != 1) {
    throw nash_swarm::Error("TensorView", "the rows of a matrix are not contiguous",
                            "pass a row-major view");
  }
  using Map = std::conditional_t<std::is_const_v<T>, ConstMatrixMap, MatrixMap>;
  return Map(view.data(), eigen_index(view.extent(0)), eigen_index(view.extent(1)),
             Eigen::OuterStride<>(eigen_index(view.stride(0))));
}

inline RowMap eigen_row(std::span<float> row) {
  return {row.data(), eigen_index(row.size())};
}
inline ConstRowMap eigen_row(std::span<const float> row) {
  return {row.data(), eigen_index(row.size())};
}

/// Row `index` of a matrix whose rows are contiguous.
template <class T>
std::span<T> row_of(nash_swarm::TensorView<T, 2> view, std::size_t index) {
  return {view.data() + index * view.stride(0), view.extent(1)};
}

}  // namespace transformer
