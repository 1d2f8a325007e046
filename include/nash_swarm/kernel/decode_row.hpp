#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Decodes rows of one panel, back in the order and basis of the input.
/// @param first_row position of the first of them in the row order
/// @param values scratch [rows, padded_features]
/// @param weights receives [rows, in_features]
inline void decode_rows(const PackedMatrix& matrix, std::size_t first_row, std::size_t rows,
                        float* values, float* weights, InstructionSet set) noexcept {
  const std::size_t channels = matrix.basis().padded_features();
  const std::size_t panel = first_row / panel_rows;
  const std::byte* codes = matrix.panel_codes(panel);
  BlockValues block;
  for (std::size_t b = 0; b < matrix.cells().blocks(); ++b) {
    const Format& format = format_table[format_index(matrix.cells()(panel, b))];
    format.decode(codes, block);
    codes += format.block_bytes;
    for (std::size_t r = 0; r < rows; ++r) {
      const float scale = to_float(matrix.row_scales()[first_row + r]);
      const std::int16_t* integers = block.at[(first_row + r) % panel_rows];
      float* target = values + r * channels + b * block_channels;
      for (std::size_t k = 0; k < block_channels; ++k) {
        target[k] = scale * (format.unit * static_cast<float>(integers[k]));
      }
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    from_basis(matrix.basis(), values + r * channels, weights + r * matrix.in_features(), set);
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
  AlignedBuffer<float> values(matrix.basis().padded_features());
  AlignedBuffer<float> decoded(matrix.in_features());
  detail::decode_rows(matrix, matrix.row_order().position_of(row), 1, values.data(), decoded.data(),
                      default_instruction_set());
  for (std::size_t k = 0; k < decoded.size(); ++k) weights(k) = decoded[k];
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
