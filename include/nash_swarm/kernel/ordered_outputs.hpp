#pragma once

#include <cstddef>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/row_order.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Puts the outputs of rows that lie one after the other in a matrix to where they belong.
/// @param first position of the first of them
/// @param outputs [tokens, rows]
/// @param y [tokens, out]
inline void place_outputs(const RowOrder& order, std::size_t first,
                          TensorView<const float, 2> outputs, TensorView<float, 2> y) noexcept {
  for (std::size_t t = 0; t < outputs.extent(0); ++t) {
    for (std::size_t row = 0; row < outputs.extent(1); ++row) {
      y(t, order.row_at(first + row)) = outputs(t, row);
    }
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
