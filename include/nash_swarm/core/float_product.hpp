#pragma once

#include <cstddef>
#include <cstring>
#include <string>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {
namespace detail {

/// What a TensorView of two dimensions is, plain.
template <class T>
struct MatrixPlace {
  T* data;
  std::size_t row_stride;
  std::size_t column_stride;

  /// The matrix from an element on.
  NASH_SWARM_KEYED MatrixPlace at(std::size_t row, std::size_t column) const noexcept {
    return {data + row * row_stride + column * column_stride, row_stride, column_stride};
  }
};
using FloatPlace = MatrixPlace<const float>;
using FloatTarget = MatrixPlace<float>;

#if NASH_SWARM_DEFINITIONS
inline namespace NASH_SWARM_TARGET {

#define NASH_SWARM_TEXT <nash_swarm/core/float_product.inc>
#include <nash_swarm/core/float_regions.inc>

}  // namespace NASH_SWARM_TARGET
#endif
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// c += ab for float matrices of any strides, on the calling thread: the product of calibration,
/// whatever the flags of the file. One core of an Emerald Rapids (it varies; see
/// bench/float_product_bench): 92 to 163 GFLOP/s with AVX-512, where OpenBLAS gets 88 to 161, and
/// 45 to 80 with AVX2, where OpenBLAS gets 50 to 80; Eigen compiled for plain x86-64 about 20.
/// Sums are rounded in an order that depends on the instruction set.
/// @param a [rows, depth]
/// @param b [depth, columns]
/// @param c [rows, columns], apart from the others
/// @param set one that this machine has
/// @throws Error if the shapes do not fit
NASH_SWARM_FUNCTION void add_product(TensorView<const float, 2> a, TensorView<const float, 2> b,
                                     TensorView<float, 2> c,
                                     InstructionSet set = default_instruction_set());

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION void add_product(TensorView<const float, 2> a, TensorView<const float, 2> b,
                                       TensorView<float, 2> c, InstructionSet set) {
  if (a.extent(1) != b.extent(0) || c.extent(0) != a.extent(0) || c.extent(1) != b.extent(1)) {
    const auto shape = [](const auto& view) {
      std::string text = std::to_string(view.extent(0));  // (g++ 12 warns of a + at -O3)
      text.insert(0, 1, '[').append(", ").append(std::to_string(view.extent(1))).push_back(']');
      return text;
    };
    detail::raise(Error("product", shape(a) + " times " + shape(b) + " is not " + shape(c)));
  }
  const detail::FloatPlace from_a{a.data(), a.stride(0), a.stride(1)};
  const detail::FloatPlace from_b{b.data(), b.stride(0), b.stride(1)};
  const detail::FloatTarget to{c.data(), c.stride(0), c.stride(1)};
  const auto run = [&](auto* function) {
    function(from_a, from_b, to, a.extent(0), b.extent(1), b.extent(0));
  };
#if defined(NASH_SWARM_X86_REGIONS)
  const InstructionSet own = float_set(set);
  if (own == InstructionSet::avx512vnni_bw) return run(&detail::avx512vnni_bw::add_product);
  if (own == InstructionSet::avx2) return run(&detail::avx2::add_product);
#endif
  static_cast<void>(set);
  run(&detail::portable::add_product);
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
