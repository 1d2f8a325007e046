#pragma once

#include <algorithm>
#include <cstddef>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>
#include <nash_swarm/kernel/decode_row.hpp>
#include <nash_swarm/kernel/panel_product.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {
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

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
