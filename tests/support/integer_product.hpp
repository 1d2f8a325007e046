#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/instruction_sets.hpp"
#include "support/products.hpp"

namespace support {

/// Blocks of a panel whose products are summed in integers: neighbours of one format and one scale
/// of the activations.
struct IntegerRun {
  std::size_t first;
  std::size_t past;
  float unit;
};

inline std::vector<IntegerRun> integer_runs(std::span<const nash_swarm::FormatId> formats,
                                            std::size_t blocks_per_scale) {
  std::vector<IntegerRun> runs;
  for (std::size_t b = 0; b < formats.size(); ++b) {
    if (b % blocks_per_scale == 0 || formats[b] != formats[b - 1]) {
      runs.push_back({b, b, nash_swarm::format_table[nash_swarm::format_index(formats[b])].unit});
    }
    ++runs.back().past;
  }
  return runs;
}

/// The weights of a panel's blocks.
inline std::vector<nash_swarm::BlockValues> integer_weights(const nash_swarm::PackedMatrix& matrix,
                                                            std::size_t panel) {
  std::vector<nash_swarm::BlockValues> weights;
  const std::byte* codes = matrix.panel_codes(panel);
  for (const nash_swarm::FormatId id : matrix.cells().panel(panel)) {
    const nash_swarm::Format& format = nash_swarm::format_table[nash_swarm::format_index(id)];
    format.decode(codes, weights.emplace_back());
    codes += format.block_bytes;
  }
  return weights;
}

/// The sum of a row's products with the blocks of a run.
inline std::int64_t integer_sum(std::span<const nash_swarm::BlockValues> weights, std::size_t row,
                                std::span<const std::int32_t> codes, const IntegerRun& run) {
  std::int64_t sum = 0;
  for (std::size_t b = run.first; b < run.past; ++b) {
    const std::int32_t* const own = &codes[b * nash_swarm::block_channels];
    for (std::size_t k = 0; k < nash_swarm::block_channels; ++k) {
      sum += own[k] * weights[b].at[row][k];
    }
  }
  return sum;
}

/// The product [tokens, rows of a panel] in integers: nothing is rounded before the sum of a run.
/// Scaled, sums are added one after the other, each with one rounding.
inline Row integer_product(const nash_swarm::PackedMatrix& matrix, std::size_t panel,
                           const nash_swarm::Activations& x) {
  constexpr std::size_t width = nash_swarm::block_channels;
  const auto runs = integer_runs(matrix.cells().panel(panel), x.scale_block() / width);
  const auto weights = integer_weights(matrix, panel);
  const auto scales = matrix.row_scales().subspan(panel * nash_swarm::panel_rows);
  std::vector<std::int32_t> codes(x.channels());
  Row y;
  for (std::size_t t = 0; t < x.tokens(); ++t) {
    for (std::size_t k = 0; k < codes.size(); ++k) codes[k] = x.code(t, k);
    for (std::size_t row = 0; row < nash_swarm::panel_rows && row < scales.size(); ++row) {
      float total = 0;
      for (const IntegerRun& run : runs) {
        const float sum = static_cast<float>(integer_sum(weights, row, codes, run));
        const float scale = x.scale(t, run.first * width / x.scale_block()) * run.unit;
        total = std::fma(sum, scale, total);
      }
      y.push_back(total * nash_swarm::to_float(scales[row]));
    }
  }
  return y;
}

/// The product [tokens, out] in integers.
inline Row integer_product(const nash_swarm::PackedMatrix& matrix,
                           const nash_swarm::Activations& x) {
  const std::size_t out = matrix.out_features();
  Row y(x.tokens() * out);
  for (std::size_t first = 0; first < out; first += nash_swarm::panel_rows) {
    const Row own = integer_product(matrix, first / nash_swarm::panel_rows, x);
    const std::size_t rows = own.size() / x.tokens();
    for (std::size_t i = 0; i < own.size(); ++i) y[i / rows * out + first + i % rows] = own[i];
  }
  return y;
}

/// Checks every instruction set of this machine against the product in integers, bit for bit.
inline void check_every_set(const nash_swarm::PackedMatrix& matrix,
                            const nash_swarm::Activations& x) {
  using nash_swarm::detail::LineFetch;
  CAPTURE(matrix.out_features());
  CAPTURE(matrix.in_features());
  CAPTURE(x.tokens());
  const auto expected = bits_of(integer_product(matrix, x));
  for (const nash_swarm::InstructionSet set : supported_instruction_sets()) {
    CAPTURE(name_of(set));
    for (const LineFetch fetch : {LineFetch::single, LineFetch::in_pairs}) {
      if (fetch == LineFetch::in_pairs && x.tokens() > 1) continue;  // the same kernels
      CAPTURE(static_cast<int>(fetch));
      Row y(x.tokens() * matrix.out_features(), -1.0f);
      nash_swarm::detail::multiply_panels(nash_swarm::detail::panel_product_for(set, fetch), matrix,
                                          0, matrix.cells().panels(), x,
                                          {y.data(), {x.tokens(), matrix.out_features()}});
      CHECK(bits_of(y) == expected);
    }
  }
}

}  // namespace support
