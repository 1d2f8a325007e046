#pragma once

#include <cstddef>

#include <Eigen/Core>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// c += aᵀb, the product of all second moments.
/// @param a [n, rows], any strides
/// @param b [n, columns], any strides
/// @param c [rows, columns], rows contiguous
inline void add_transposed_product(TensorView<const float, 2> a, TensorView<const float, 2> b,
                                   TensorView<float, 2> c) {
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Stride = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  const auto index = [](std::size_t value) { return static_cast<Eigen::Index>(value); };
  const auto map = [&](TensorView<const float, 2> view) {
    return Eigen::Map<const Matrix, Eigen::Unaligned, Stride>(
        view.data(), index(view.extent(0)), index(view.extent(1)),
        Stride(index(view.stride(0)), index(view.stride(1))));
  };
  Eigen::Map<Matrix, Eigen::Unaligned, Eigen::OuterStride<>>(
      c.data(), index(c.extent(0)), index(c.extent(1)), Eigen::OuterStride<>(index(c.stride(0))))
      .noalias() += map(a).transpose() * map(b);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
