#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <nash_swarm/core/smaller.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>

#if NASH_SWARM_DEFINITIONS
#include <cmath>
#endif

namespace nash_swarm {

/// The product in plain C++, for every machine.
///
/// Bounds: an accumulator sums at most 256 products (the widest scale block) of |weight| ≤ 32,767
/// and |activation| ≤ 127, below 2^30.1. Sums over blocks are float, and integer sums times their
/// scale are added with one rounding, in the order of the blocks: so results are the same bits
/// everywhere, whether a machine has an instruction for it or not. (Flags that let a compiler
/// reorder sums, such as -ffast-math, give up that promise, but no outputs of NaN.)
namespace portable {

/// Tokens that share one decoding of a panel.
inline constexpr std::size_t token_tile = 64;

/// What one call multiplies: the panels first_panel … past_panel − 1 with at most `token_tile` rows of
/// codes.
struct PanelTile {
  std::size_t first_panel;
  std::size_t past_panel;
  std::size_t first_token;
  std::size_t tokens;
  const std::uint8_t* decoded = nullptr;  // [panels, channels · 16], if they are decoded already

  /// One of the panels with the same tokens.
  NASH_SWARM_KEYED PanelTile of_panel(std::size_t panel, std::size_t channels) const noexcept {
    const std::size_t place = (panel - first_panel) * channels * panel_rows;
    return {panel, panel + 1, first_token, tokens, decoded == nullptr ? nullptr : decoded + place};
  }
  /// The rows of a matrix that are in these panels.
  std::size_t first_row() const noexcept { return first_panel * panel_rows; }
  NASH_SWARM_KEYED std::size_t past_row(const PackedMatrix& matrix) const noexcept {
    return detail::smaller(past_panel * panel_rows, matrix.out_features());
  }
};

#if NASH_SWARM_DEFINITIONS
inline namespace NASH_SWARM_TARGET {

/// sums[token][row] += integer products of one decoded block.
inline void multiply_block(const BlockValues& weights, const Activations& x, std::size_t first_token,
                           std::size_t tokens, std::size_t channel,
                           std::int32_t (*sums)[panel_rows]) noexcept {
  for (std::size_t t = 0; t < tokens; ++t) {
    alignas(64) std::int16_t wide[block_channels];
    for (std::size_t k = 0; k < block_channels; ++k) wide[k] = x.code(first_token + t, channel + k);
    for (std::size_t row = 0; row < panel_rows; ++row) {
      std::int32_t sum = 0;
      for (std::size_t k = 0; k < block_channels; ++k) sum += weights.at[row][k] * wide[k];
      sums[t][row] += sum;
    }
  }
}

/// totals[token][row] += unit · activation scale · integer sums, and clears the sums.
inline void flush_sums(const Activations& x, std::size_t first_token, std::size_t tokens,
                       std::size_t scale_index, float unit, std::int32_t (*sums)[panel_rows],
                       float (*totals)[panel_rows]) noexcept {
  for (std::size_t t = 0; t < tokens; ++t) {
    const float scale = x.scale(first_token + t, scale_index) * unit;
    for (std::size_t row = 0; row < panel_rows; ++row) {
      totals[t][row] = std::fma(static_cast<float>(sums[t][row]), scale, totals[t][row]);
      sums[t][row] = 0;
    }
  }
}

/// y [tokens, rows of the panel]. (A row of codes is a token here.) The integer sums run over the
/// blocks of one activation scale and one format.
inline void multiply_panel(const PackedMatrix& matrix, std::size_t panel, const Activations& x,
                           std::size_t first_token, std::size_t tokens,
                           TensorView<float, 2> y) noexcept {
  std::int32_t sums[token_tile][panel_rows] = {};
  float totals[token_tile][panel_rows] = {};
  BlockValues weights;
  const std::span<const FormatId> formats = matrix.cells().panel(panel);
  const std::byte* codes = matrix.panel_codes(panel);
  const std::size_t blocks_per_scale = x.scale_block() / block_channels;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const Format& format = format_table[format_index(formats[b])];
    format.decode(codes, weights);
    codes += format.block_bytes;
    multiply_block(weights, x, first_token, tokens, b * block_channels, sums);
    const bool scale_ends = (b + 1) % blocks_per_scale == 0;
    if (scale_ends || formats[b + 1] != formats[b]) {
      flush_sums(x, first_token, tokens, b / blocks_per_scale, format.unit, sums, totals);
    }
  }
  const std::span<const BFloat16> scales = matrix.row_scales().subspan(panel * panel_rows);
  for (std::size_t row = 0; row < detail::smaller(panel_rows, scales.size()); ++row) {
    const float scale = to_float(scales[row]);
    for (std::size_t t = 0; t < tokens; ++t) y(t, row) = totals[t][row] * scale;
  }
}

/// y [tokens, rows of the panels] of a tile.
inline void multiply_panels(const PackedMatrix& matrix, const PanelTile& tile, const Activations& x,
                            TensorView<float, 2> y) noexcept {
  for (std::size_t panel = tile.first_panel; panel < tile.past_panel; ++panel) {
    const std::size_t column = (panel - tile.first_panel) * panel_rows;
    multiply_panel(matrix, panel, x, tile.first_token, tile.tokens,
                   y.slice(1, column, y.extent(1)));
  }
}

}  // namespace NASH_SWARM_TARGET
#endif

}  // namespace portable
}  // namespace nash_swarm
