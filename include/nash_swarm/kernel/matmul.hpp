#pragma once

#include <algorithm>
#include <cstddef>
#include <string>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>
#include <nash_swarm/kernel/panel_product.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

inline void refuse_empty(const PackedMatrix& matrix) {
  if (matrix.empty()) {
    throw Error("PackedMatrix", "the matrix is empty", "pack or load one first");
  }
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
  if (y.extent(0) != x.tokens() || y.extent(1) != matrix.out_features()) {
    throw Error(matrix.name(),
                "output of shape [" + std::to_string(y.extent(0)) + ", " +
                    std::to_string(y.extent(1)) + "] for a product of shape [" +
                    std::to_string(x.tokens()) + ", " + std::to_string(matrix.out_features()) + "]",
                "pass y as [tokens, out_features]");
  }
  detail::refuse_unsupported(matrix.name(), set);
  constexpr std::size_t panels_per_task = 4;  // 64 outputs: a task writes whole cache lines of y
  const std::size_t panels = panel_count(matrix.out_features());
  const detail::PanelProduct multiply_panel = detail::panel_product_for(set);
  executor.run((panels + panels_per_task - 1) / panels_per_task, [&](std::size_t task) {
    const std::size_t last = std::min(panels, (task + 1) * panels_per_task);
    for (std::size_t panel = task * panels_per_task; panel < last; ++panel) {
      for (std::size_t token = 0; token < x.tokens(); token += portable::token_tile) {
        multiply_panel(matrix, panel, x, token, std::min(portable::token_tile, x.tokens() - token),
                       y);
      }
    }
  });
}

/// y = x · Wᵀ with packed weights and 8-bit activations. The result is the same bit for bit on
/// every machine and for every number of threads.
/// @param x [tokens, in]
/// @param y [tokens, out]
/// @throws Error if the shapes do not fit
template <Executor E>
void matmul(const PackedMatrix& matrix, TensorView<const float, 2> x, TensorView<float, 2> y,
            E& executor) {
  detail::refuse_empty(matrix);
  matmul(matrix, quantize_activations(matrix.basis(), x, executor), y, executor);
}

/// Decodes one row of the matrix, back in the order and basis of the input: what a token embedding
/// looks up.
/// @param weights [in]
/// @throws Error if the row or the shape does not fit
inline void decode_row(const PackedMatrix& matrix, std::size_t row, TensorView<float, 1> weights) {
  detail::refuse_empty(matrix);
  if (row >= matrix.out_features() || weights.extent(0) != matrix.in_features()) {
    throw Error(matrix.name(),
                "row " + std::to_string(row) + " of length " + std::to_string(weights.extent(0)) +
                    " asked of a matrix of shape [" + std::to_string(matrix.out_features()) + ", " +
                    std::to_string(matrix.in_features()) + "]");
  }
  AlignedBuffer<float> values(matrix.basis().padded_features());
  AlignedBuffer<float> decoded(matrix.in_features());
  const std::size_t panel = row / panel_rows;
  const std::byte* codes = matrix.panel_codes(panel);
  const float scale = to_float(matrix.row_scales()[row]);
  BlockValues block;
  for (std::size_t b = 0; b < matrix.cells().blocks(); ++b) {
    const Format& format = format_table[format_index(matrix.cells()(panel, b))];
    format.decode(codes, block);
    codes += format.block_bytes;
    for (std::size_t k = 0; k < block_channels; ++k) {
      values[b * block_channels + k] =
          scale * (format.unit * static_cast<float>(block.at[row % panel_rows][k]));
    }
  }
  from_basis(matrix.basis(), values.data(), decoded.data());
  for (std::size_t k = 0; k < decoded.size(); ++k) weights(k) = decoded[k];
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
