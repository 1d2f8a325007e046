#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/rounding/panel_feedback.hpp>
#include <nash_swarm/rounding/panel_rounding.hpp>
#include <nash_swarm/rounding/row_scale.hpp>

namespace nash_swarm {
namespace detail {

/// Memory of a matrix that owns its bytes.
struct PackedStorage {
  AlignedBuffer<std::byte> codes;
  AlignedBuffer<BFloat16> row_scales;
  std::vector<std::uint8_t> run_table;
  std::vector<std::uint8_t> row_order;
};

/// Up to here no sum over a rotation block, and no value of a code times its scale, is beyond
/// float32.
inline constexpr float largest_weight = 0x1p118f;

inline namespace NASH_SWARM_TARGET {

/// @throws Error naming the first weight of a row that is NaN, infinite or too large
inline void check_weights(const std::string& name, TensorView<const float, 2> weights,
                          std::size_t row) {
  for (std::size_t k = 0; k < weights.extent(1); ++k) {
    const float value = weights(row, k);
    if (std::fabs(value) <= largest_weight) continue;
    const std::string place = " at [" + std::to_string(row) + ", " + std::to_string(k) + "]";
    if (std::isfinite(value)) {
      throw Error(name, "a weight beyond 2^118" + place, "scale the weights down");
    }
    throw Error(name, (std::isnan(value) ? "NaN" : "infinity") + place, "repair the weights");
  }
}

/// Brings the rows of one panel into the basis, at their true length.
/// @param first_row position of the first of them in the order
inline void rotate_panel(const std::string& name, TensorView<const float, 2> weights,
                         const RowOrder& order, std::size_t first_row, std::size_t rows,
                         const InputBasis& basis, AlignedBuffer<float>& rotated) {
  const std::size_t channels = basis.padded_features();
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t place = order.row_at(first_row + row);
    check_weights(name, weights, place);
    float* target = rotated.data() + row * channels;
    const float* source = weights.data() + place * weights.stride(0);
    to_basis_unscaled(basis, source, weights.stride(1), target);
    for (std::size_t k = 0; k < channels; ++k) target[k] *= basis.rotation_scale();
  }
}

/// Rounds the rotated rows of one panel and writes its codes and row scales; rows of the panel from
/// `rows` on lie outside the matrix and are zeros without a scale.
inline void round_panel(const AlignedBuffer<float>& rotated, std::size_t rows,
                        std::span<const FormatId> formats, const ErrorFeedback* feedback,
                        std::byte* codes, BFloat16* row_scales) {
  const std::size_t channels = formats.size() * block_channels;
  AlignedBuffer<std::uint16_t> row_codes(panel_rows * channels);
  BFloat16 scales[panel_rows];
  if (feedback != nullptr || has_windows(formats)) {
    round_panel_codes(rotated.data(), formats, feedback, row_codes.data(), scales);
  } else {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      scales[row] = round_row({rotated.data() + row * channels, channels}, formats,
                              row_codes.data() + row * channels);
    }
  }
  std::copy_n(scales, rows, row_scales);
  BlockCodes block;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      std::copy_n(row_codes.data() + row * channels + b * block_channels, block_channels,
                  block.at[row]);
    }
    const Format& format = format_table[format_index(formats[b])];
    format.encode(block, codes);
    codes += format.block_bytes;
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Packs a matrix by rounding every weight, in the basis, to the code nearest to it and to what
/// feedback adds of the errors of the earlier channels.
/// @param weights [out, in]
/// @param cells format of every block of 16 rows × 64 channels of the basis
/// @param feedback of the inputs in this basis
/// @param order of the rows in the panels
/// @throws Error for NaN, infinity or a weight beyond 2^118 (named by index), or shapes that do not
/// fit
/// O(out · in · log rotation_block), with feedback O(out · in²); scratch memory of one panel per
/// thread.
NASH_SWARM_FUNCTION PackedMatrix round_matrix(const std::string& name,
                                              TensorView<const float, 2> weights,
                                              std::shared_ptr<const InputBasis> basis,
                                              const CellMap& cells, const PanelFeedback& feedback,
                                              ExecutorView executor, const RowOrder& order = {});

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION PackedMatrix round_matrix(const std::string& name,
                                                TensorView<const float, 2> weights,
                                                std::shared_ptr<const InputBasis> basis,
                                                const CellMap& cells, const PanelFeedback& feedback,
                                                ExecutorView executor, const RowOrder& order) {
  const std::size_t out_features = weights.extent(0);
  if (!basis || basis->in_features() != weights.extent(1) ||
      cells.panels() != panel_count(out_features) ||
      cells.blocks() != block_count(weights.extent(1)) || !order.fits(out_features) ||
      !feedback.fits(cells.panels()) ||
      std::any_of(feedback.groups().begin(), feedback.groups().end(),
                  [&](const ErrorFeedback* group) {
                    return group != nullptr && group->channels() != basis->padded_features();
                  })) {
    throw Error(name, "basis, cells, feedback or order do not fit a matrix of shape [" +
                          std::to_string(out_features) + ", " + std::to_string(weights.extent(1)) +
                          "]");
  }
  auto storage = std::make_shared<detail::PackedStorage>();
  storage->codes = AlignedBuffer<std::byte>(code_bytes(cells));
  storage->row_scales = AlignedBuffer<BFloat16>(out_features);
  storage->run_table = encode_runs(cells);
  storage->row_order = encode_row_order(order);
  std::vector<std::size_t> offsets(cells.panels() + 1);
  for (std::size_t p = 0; p < cells.panels(); ++p) {
    offsets[p + 1] = offsets[p] + panel_code_bytes(cells.panel(p));
  }
  executor.run(cells.panels(), [&](std::size_t panel) {
    const std::size_t first_row = panel * panel_rows;
    const std::size_t rows = std::min(panel_rows, out_features - first_row);
    AlignedBuffer<float> rotated(panel_rows * basis->padded_features());
    detail::rotate_panel(name, weights, order, first_row, rows, *basis, rotated);
    detail::round_panel(rotated, rows, cells.panel(panel), feedback.of_panel(panel),
                        storage->codes.data() + offsets[panel],
                        storage->row_scales.data() + first_row);
  });
  PackedMatrix::Parts parts;
  parts.name = name;
  parts.out_features = out_features;
  parts.basis = std::move(basis);
  parts.codes = {storage->codes.data(), storage->codes.size()};
  parts.row_scales = {storage->row_scales.data(), storage->row_scales.size()};
  parts.run_table = storage->run_table;
  parts.row_order = storage->row_order;
  parts.storage = std::move(storage);
  return PackedMatrix(std::move(parts));
}
#endif

/// Packs a matrix by rounding every weight, in the basis, to its nearest code.
inline PackedMatrix round_to_nearest(const std::string& name, TensorView<const float, 2> weights,
                                     std::shared_ptr<const InputBasis> basis, const CellMap& cells,
                                     ExecutorView executor) {
  return round_matrix(name, weights, std::move(basis), cells, PanelFeedback(), executor);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
