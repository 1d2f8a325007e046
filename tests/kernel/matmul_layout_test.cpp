#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::Activations;
using nash_swarm::AlignedBuffer;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using support::bits_of;
using support::random_inputs;
using support::Row;
using support::serial;

namespace {

/// Where a matrix of floats lies in memory.
struct Layout {
  std::size_t first;   ///< place of the first element
  std::size_t stride;  ///< from one element of a row to the next one, or of a column
  std::size_t gap;     ///< elements that lie between rows, or columns
  bool transposed;     ///< columns one after the other

  std::size_t elements(std::size_t rows, std::size_t columns) const {
    return first + rows * columns * stride + (transposed ? columns : rows) * gap;
  }
  TensorView<float, 2> view(float* memory, std::size_t rows, std::size_t columns) const {
    if (transposed) {
      return {memory + first, {rows, columns}, {stride, rows * stride + gap}};
    }
    return {memory + first, {rows, columns}, {columns * stride + gap, stride}};
  }
};

constexpr Layout layouts[] = {
    {1, 1, 0, false}, {3, 1, 5, false}, {5, 3, 1, false}, {7, 2, 3, true}};

/// A matrix whose codes are a copy of another's, some bytes beyond a multiple of 64.
struct ShiftedMatrix {
  ShiftedMatrix(const PackedMatrix& source, std::size_t shift)
      : codes(shift + source.codes().size()),
        matrix({.name = "shifted",
                .out_features = source.out_features(),
                .basis = source.shared_basis(),
                .codes = {codes.data() + shift, source.codes().size()},
                .row_scales = source.row_scales(),
                .run_table = source.run_table(),
                .storage = nullptr}) {
    std::ranges::copy(source.codes(), codes.data() + shift);
  }

  AlignedBuffer<std::byte> codes;
  PackedMatrix matrix;
};

/// The same inputs, laid out.
Activations activations_of(const PackedMatrix& matrix, const Row& x, const Layout& layout) {
  const std::size_t tokens = x.size() / matrix.in_features();
  AlignedBuffer<float> memory(layout.elements(tokens, matrix.in_features()));
  const TensorView<float, 2> view = layout.view(memory.data(), tokens, matrix.in_features());
  for (std::size_t i = 0; i < x.size(); ++i) {
    view(i / matrix.in_features(), i % matrix.in_features()) = x[i];
  }
  return quantize_activations(matrix.basis(), TensorView<const float, 2>(view), serial);
}

/// Checks that every set of instructions writes these outputs and nothing beside them.
void check_outputs(const PackedMatrix& matrix, const Activations& x, const Layout& layout,
                   const std::vector<std::uint32_t>& expected) {
  const std::size_t out = matrix.out_features();
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(support::name_of(set));
    AlignedBuffer<float> memory(layout.elements(x.tokens(), out));
    std::ranges::fill(memory, -7.0f);
    const TensorView<float, 2> view = layout.view(memory.data(), x.tokens(), out);
    nash_swarm::matmul(matrix, x, view, serial, set);
    Row y;
    for (std::size_t i = 0; i < x.tokens() * out; ++i) {
      y.push_back(view(i / out, i % out));
      view(i / out, i % out) = -7.0f;
    }
    CHECK(bits_of(y) == expected);
    CHECK(std::ranges::count(memory, -7.0f) == std::ssize(memory));
  }
}

/// Checks the products of a matrix with every layout of inputs and outputs.
void check_layouts(const PackedMatrix& aligned) {
  for (const std::size_t tokens : {1u, 9u, 67u}) {
    CAPTURE(tokens);
    const Row x = random_inputs(tokens, aligned.in_features(), 15);
    const std::vector<std::uint32_t> expected = bits_of(support::multiply(aligned, x));
    for (const std::size_t shift : {1u, 8u, 32u}) {
      CAPTURE(shift);
      const ShiftedMatrix shifted(aligned, shift);
      for (const Layout& layout : layouts) {
        CAPTURE(layout.first);
        check_outputs(shifted.matrix, activations_of(aligned, x, layout), layout, expected);
      }
    }
  }
}

}  // namespace

TEST_CASE("matmul: inputs, outputs and codes of mixed cells may lie at any address and stride") {
  check_layouts(support::mixed_matrix(150, support::make_basis(500, 64, true), 12));
}

TEST_CASE("matmul: inputs, outputs and codes of one format may lie at any address and stride") {
  // One of which panels wait for memory and are read ahead.
  const std::size_t format = nash_swarm::format_index("b3_l4");
  check_layouts(support::uniform_matrix(33, support::make_basis(130, 64, true), format, 12));
}
