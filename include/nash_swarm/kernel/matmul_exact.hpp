#pragma once

#include <cstddef>
#include <optional>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/float_product.hpp>
#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/smaller.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/decode_row.hpp>
#include <nash_swarm/kernel/ordered_outputs.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// y = x · Wᵀ for inputs as they are and weights decoded as by `decode_row`: the reference for
/// products of rounded activations, and for single tokens a slow one. Every panel is decoded once;
/// a thread holds 64 decoded rows, and their outputs if the rows have an order.
///
/// Sums are float, in an order that depends on the instruction set and not on the number of threads
/// or on other tokens. An output is off by less than 2^−24 · (257 + in / 256) of the sum of the
/// magnitudes of its terms, most often by far less.
/// @param x [tokens, in]
/// @param y [tokens, out], apart from x
/// @param asked the set of instructions, for tests
/// @throws Error if the shapes do not fit, x and y begin at one place, or the machine lacks the set
template <Executor E>
void matmul_exact(const PackedMatrix& matrix, TensorView<const float, 2> x, TensorView<float, 2> y,
                  E& executor, std::optional<InstructionSet> asked = std::nullopt) {
  detail::raise_if(detail::refuse_empty(matrix));
  detail::raise_if(detail::refuse_wrong_input(matrix.basis(), x));
  detail::raise_if(detail::refuse_wrong_output(matrix, x.extent(0), y));
  if (x.extent(0) == 0) return;
  if (x.data() == y.data()) {
    detail::raise(Error(matrix.name(), "x and y are the same memory", "give y memory of its own"));
  }
  const InstructionSet set = detail::value_or_raise(detail::usable_set(matrix.name(), asked));
  constexpr std::size_t rows_per_task = 4 * panel_rows;
  const std::size_t in = matrix.in_features();
  const std::size_t out = matrix.out_features();
  executor.run((out + rows_per_task - 1) / rows_per_task, [&](std::size_t task) {
    const std::size_t first = task * rows_per_task;
    const std::size_t end = detail::smaller(out, first + rows_per_task);
    AlignedBuffer<float> weights((end - first) * in);
    const TensorView<float, 2> decoded{weights.data(), {end - first, in}};
    for (std::size_t row = first; row < end; row += panel_rows) {
      const std::size_t past = detail::smaller(end, row + panel_rows);
      detail::decode_rows(matrix, row, decoded.slice(0, row - first, past - first), set);
    }
    AlignedBuffer<float> memory(matrix.row_order().natural() ? 0 : x.extent(0) * (end - first));
    const TensorView<float, 2> outputs =
        matrix.row_order().natural()
            ? y.slice(1, first, end)
            : TensorView<float, 2>{memory.data(), {x.extent(0), end - first}};
    for (std::size_t t = 0; t < outputs.extent(0); ++t) {
      for (std::size_t row = 0; row < outputs.extent(1); ++row) outputs(t, row) = 0.0f;
    }
    add_product(x, TensorView<const float, 2>(decoded).transposed(), outputs, set);
    if (!matrix.row_order().natural()) {
      detail::place_outputs(matrix.row_order(), first, outputs, y);
    }
  });
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
