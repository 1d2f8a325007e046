#pragma once

#include <algorithm>
#include <cstddef>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>
#include <nash_swarm/kernel/decode_row.hpp>
#include <nash_swarm/kernel/ordered_outputs.hpp>
#include <nash_swarm/kernel/panel_product.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// y [tokens, rows of the panel] of a tile of tokens from `first` on, sums of their rows of codes.
inline void multiply_tile(PanelProduct multiply_panel, const PackedMatrix& matrix,
                          std::size_t panel, const Activations& x, std::size_t first,
                          TensorView<float, 2> y) {
  const std::size_t tokens = y.extent(0);
  if (x.rows_per_token() == 1) return multiply_panel(matrix, panel, x, first, tokens, y);
  const std::size_t rows = y.extent(1);
  alignas(64) float memory[nash_swarm::portable::token_tile * panel_rows];
  const TensorView<float, 2> digits{memory, {2 * tokens, rows}};
  multiply_panel(matrix, panel, x, 2 * first, 2 * tokens, digits);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t row = 0; row < rows; ++row) {
      y(t, row) = digits(2 * t, row) + digits(2 * t + 1, row);
    }
  }
}

/// y [tokens, out] of a tile of tokens from `first` on, where the rows of the panel are in it.
inline void multiply_tile_in_order(PanelProduct multiply_panel, const PackedMatrix& matrix,
                                   std::size_t panel, const Activations& x, std::size_t first,
                                   TensorView<float, 2> y) {
  const std::size_t first_row = panel * panel_rows;
  const std::size_t end = std::min(first_row + panel_rows, matrix.out_features());
  if (matrix.row_order().natural()) {
    return multiply_tile(multiply_panel, matrix, panel, x, first, y.slice(1, first_row, end));
  }
  alignas(64) float memory[nash_swarm::portable::token_tile * panel_rows];
  const TensorView<float, 2> outputs{memory, {y.extent(0), end - first_row}};
  multiply_tile(multiply_panel, matrix, panel, x, first, outputs);
  place_outputs(matrix.row_order(), first_row, outputs, y);
}

/// True for products that take less than some 25 µs: two threads gain from about there on.
inline bool is_short(const PackedMatrix& matrix, const Activations& x) noexcept {
  constexpr double short_products = 1 << 19;
  return static_cast<double>(matrix.out_features()) * static_cast<double>(x.channels()) *
             static_cast<double>(x.tokens() * x.rows_per_token()) <
         short_products;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// y = x · Wᵀ for inputs that are already in the basis of the matrix.
/// @param x [tokens, in] in the basis of the matrix
/// @param y [tokens, out]
/// @param set of instructions, for tests
/// @throws Error if the bases differ, the shapes do not fit, or the machine lacks the set
template <Executor E>
void matmul(const PackedMatrix& matrix, const Activations& x, TensorView<float, 2> y, E& executor,
            InstructionSet set = default_instruction_set()) {
  detail::refuse_empty(matrix);
  if (x.basis_fingerprint() != matrix.basis().fingerprint()) {
    throw Error(matrix.name(), "activations of another basis",
                "quantize the input with the basis of the matrix");
  }
  detail::refuse_wrong_output(matrix, x.tokens(), y);
  detail::refuse_unsupported(matrix.name(), set);
  const std::size_t panels = panel_count(matrix.out_features());
  const std::size_t panels_per_task =
      detail::is_short(matrix, x) ? panels : 4;  // 64 outputs: whole cache lines of y
  const detail::PanelProduct multiply_panel = detail::panel_product_for(set);
  const std::size_t tile = portable::token_tile / x.rows_per_token();
  executor.run((panels + panels_per_task - 1) / panels_per_task, [&](std::size_t task) {
    const std::size_t last = std::min(panels, (task + 1) * panels_per_task);
    for (std::size_t panel = task * panels_per_task; panel < last; ++panel) {
      for (std::size_t token = 0; token < x.tokens(); token += tile) {
        const std::size_t past = std::min(token + tile, x.tokens());
        detail::multiply_tile_in_order(multiply_panel, matrix, panel, x, token,
                                       y.slice(0, token, past));
      }
    }
  });
}

/// y = x · Wᵀ with packed weights and rounded activations. The result is the same bit for bit on
/// every machine and for every number of threads.
/// @param x [tokens, in]
/// @param y [tokens, out]
/// @param bits of the activations: in a rotated basis 8 lose less than a hundredth of an output, 16
/// less than a 200th part of that; they take 1.3 to 1.5 times as long for one token, and nearly
/// twice as long for many
/// @throws Error if the shapes do not fit
template <Executor E>
void matmul(const PackedMatrix& matrix, TensorView<const float, 2> x, TensorView<float, 2> y,
            E& executor, ActivationBits bits = ActivationBits::eight) {
  detail::refuse_empty(matrix);
  matmul(matrix, quantize_activations(matrix.basis(), x, executor, bits), y, executor);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
