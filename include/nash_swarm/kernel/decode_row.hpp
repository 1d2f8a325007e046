#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Decodes rows of one panel, back in the order and basis of the input.
/// @param first position of the first of them in the row order
/// @param weights [rows, in]
inline void decode_rows(const PackedMatrix& matrix, std::size_t first, TensorView<float, 2> weights,
                        InstructionSet set) noexcept {
  const InputBasis& basis = matrix.basis();
  const Rotation& rotation = rotation_for(set);
  const std::size_t rows = weights.extent(0);
  const std::size_t blocks_per_turn = basis.scale_block() / block_channels;
  const std::span<const FormatId> formats = matrix.cells().panel(first / panel_rows);
  const std::byte* codes = matrix.panel_codes(first / panel_rows);
  BlockValues block;
  alignas(64) float values[panel_rows][InputBasis::most_scale_block];
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const Format& format = format_table[format_index(formats[b])];
    format.decode_rows(codes, first % panel_rows, rows, block.at);
    codes += format.block_bytes;
    const bool turns = (b + 1) % blocks_per_turn == 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const float scale = to_float(matrix.row_scales()[first + r]);
      float* target = values[r] + b % blocks_per_turn * block_channels;
      for (std::size_t k = 0; k < block_channels; ++k) {
        target[k] = scale * (format.unit * static_cast<float>(block.at[r][k]));
      }
      if (turns) {
        block_from_basis(basis, b / blocks_per_turn, values[r], &weights(r, 0), weights.stride(1),
                         rotation);
      }
    }
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Decodes one row of the matrix, back in the order and basis of the input: what a token embedding
/// looks up.
/// @param weights [in]
/// @throws Error if the row or the shape does not fit
inline void decode_row(const PackedMatrix& matrix, std::size_t row, TensorView<float, 1> weights) {
  detail::raise_if(detail::refuse_empty(matrix));
  if (row >= matrix.out_features() || weights.extent(0) != matrix.in_features()) {
    detail::raise(Error(matrix.name(), "row " + std::to_string(row) + " of length " +
                                           std::to_string(weights.extent(0)) +
                                           " asked of a matrix of shape [" +
                                           std::to_string(matrix.out_features()) + ", " +
                                           std::to_string(matrix.in_features()) + "]"));
  }
  const TensorView<float, 2> rows{weights.data(), {1, weights.extent(0)}, {0, weights.stride(0)}};
  detail::decode_rows(matrix, matrix.row_order().position_of(row), rows, default_instruction_set());
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
