#include "support/guarded_memory.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <nash_swarm/matmul.hpp>

#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::InputBasis;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using support::GuardedArray;
using support::GuardedEnd;
using support::odd_shapes;
using support::Row;
using support::serial;
using support::Shape;

namespace {

/// A matrix whose stored bytes border on addresses without memory.
struct GuardedMatrix {
  GuardedMatrix(const PackedMatrix& source, GuardedEnd end)
      : codes(source.codes(), end),
        row_scales(source.row_scales(), end),
        run_table(source.run_table(), end),
        matrix({.name = "guarded",
                .out_features = source.out_features(),
                .basis = source.shared_basis(),
                .codes = codes.values(),
                .row_scales = row_scales.values(),
                .run_table = run_table.values(),
                .storage = nullptr}) {}

  GuardedArray<std::byte> codes;
  GuardedArray<nash_swarm::BFloat16> row_scales;
  GuardedArray<std::uint8_t> run_table;
  PackedMatrix matrix;
};

/// Calls check(matrix) for a shape, with cells of every format alone and of all of them mixed.
template <class Check>
void for_each_format(const Shape& shape, Check&& check) {
  for (std::size_t f = 0; f <= nash_swarm::format_count; ++f) {
    CAPTURE(f);
    // Every second matrix has its channels permuted, so that x is not read from front to back.
    const auto basis =
        support::make_basis(shape.in, InputBasis::widest_rotation(shape.in), f % 2 == 1);
    if (f == nash_swarm::format_count) {
      check(support::any_matrix(shape.out, basis, support::AnyFormat(shape.in), f));
    } else {
      check(support::any_matrix(
          shape.out, basis, [&](auto, auto) { return f; }, f));
    }
  }
}

}  // namespace

TEST_CASE("guarded memory: products touch nothing beyond codes, scales, inputs and outputs") {
  for (const GuardedEnd end : {GuardedEnd::front, GuardedEnd::back}) {
    for (const Shape& shape : odd_shapes) {
      CAPTURE(shape.in);
      for_each_format(shape, [&](const PackedMatrix& source) {
        const GuardedMatrix guarded(source, end);
        for (const std::size_t tokens : {1u, 2u, 3u, 9u}) {
          CAPTURE(tokens);
          const Row inputs = support::random_inputs(tokens, shape.in, tokens);
          const GuardedArray<float> x(inputs, end);
          const auto activations = nash_swarm::quantize_activations(
              source.basis(), TensorView<const float, 2>{x.values().data(), {tokens, shape.in}},
              serial);
          const auto expected = support::bits_of(support::multiply(source, inputs));
          for (const auto set : support::supported_instruction_sets()) {
            CAPTURE(static_cast<int>(set));
            const GuardedArray<float> y(tokens * shape.out, end);
            nash_swarm::matmul(guarded.matrix, activations,
                               {y.values().data(), {tokens, shape.out}}, serial, set);
            CHECK(support::bits_of(Row(y.values().begin(), y.values().end())) == expected);
          }
        }
      });
    }
  }
}

TEST_CASE("guarded memory: decoded rows touch nothing beyond codes, scales and the row") {
  for (const GuardedEnd end : {GuardedEnd::front, GuardedEnd::back}) {
    for (const Shape& shape : odd_shapes) {
      CAPTURE(shape.in);
      for_each_format(shape, [&](const PackedMatrix& source) {
        const GuardedMatrix guarded(source, end);
        Row expected(shape.in);
        const GuardedArray<float> weights(shape.in, end);
        for (const std::size_t row : {std::size_t{0}, shape.out - 1}) {
          decode_row(source, row, TensorView<float, 1>{expected.data(), {shape.in}});
          decode_row(guarded.matrix, row,
                     TensorView<float, 1>{weights.values().data(), {shape.in}});
          CHECK(std::ranges::equal(weights.values(), expected));
        }
      });
    }
  }
}
