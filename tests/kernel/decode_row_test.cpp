#include <nash_swarm/kernel/matmul.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>

#include "kernel/reference_product.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using support::for_each_basis;
using support::odd_shapes;
using support::Row;
using support::Shape;

TEST_CASE("decode_row: gives the weights in the order of the input") {
  for (const Shape& shape : odd_shapes) {
    for_each_basis(shape.in, [&](const auto& basis) {
      const PackedMatrix matrix = support::mixed_matrix(shape.out, basis, 5 * shape.out);
      const reference::Dense packed = reference::basis_weights(matrix);
      const reference::Dense expected = reference::input_weights(packed, *basis);
      Row memory(2 * shape.in);
      const TensorView<float, 1> strided{memory.data(), {shape.in}, {2}};
      int wrong = 0;
      for (std::size_t row = 0; row < shape.out; ++row) {
        double length = 0;
        for (std::size_t j = 0; j < packed.columns; ++j) length += std::pow(packed.at(row, j), 2);
        decode_row(matrix, row, strided);
        for (std::size_t k = 0; k < shape.in; ++k) {
          const double error = static_cast<double>(strided(k)) - expected.at(row, k);
          wrong += std::fabs(error) <= 1e-6 * std::sqrt(length) ? 0 : 1;
        }
      }
      CHECK(wrong == 0);
    });
  }
}

namespace {

/// A row by way of whole decoded blocks and a whole row of the basis.
Row row_of_blocks(const PackedMatrix& matrix, std::size_t row) {
  const float scale = to_float(matrix.row_scales()[row]);
  const std::size_t panel = row / nash_swarm::panel_rows;
  const std::byte* codes = matrix.panel_codes(panel);
  Row values;
  for (const nash_swarm::FormatId id : matrix.cells().panel(panel)) {
    const nash_swarm::Format& format = nash_swarm::format_table[nash_swarm::format_index(id)];
    nash_swarm::BlockValues block;
    format.decode(codes, block);
    codes += format.block_bytes;
    for (const int integer : block.at[row % nash_swarm::panel_rows]) {
      values.push_back(scale * (format.unit * static_cast<float>(integer)));
    }
  }
  Row weights(matrix.in_features());
  nash_swarm::from_basis(matrix.basis(), values.data(), weights.data());
  return weights;
}

}  // namespace

TEST_CASE("decode_row: the same bits as whole panels give, of every format") {
  for (const Shape& shape : odd_shapes) {
    for_each_basis(shape.in, [&](const auto& basis) {
      const PackedMatrix matrix =
          support::any_matrix(shape.out, basis, support::AnyFormat(shape.out), 3 * shape.in);
      Row found(shape.in);
      int wrong = 0;
      for (std::size_t row = 0; row < shape.out; ++row) {
        decode_row(matrix, row, TensorView<float, 1>{found.data(), {shape.in}});
        wrong += support::bits_of(found) == support::bits_of(row_of_blocks(matrix, row)) ? 0 : 1;
      }
      CHECK(wrong == 0);
    });
  }
}

TEST_CASE("decode_row: rows in another order are found") {
  for (const std::size_t out : {17u, 33u, 100u}) {
    const PackedMatrix matrix = support::mixed_matrix(out, support::make_basis(70, 128, true), out);
    const nash_swarm::RowOrder order = support::random_row_order(out, out);
    const PackedMatrix ordered = support::in_order(matrix, order);
    Row found(70);
    Row expected(70);
    int wrong = 0;
    for (std::size_t position = 0; position < out; ++position) {
      decode_row(matrix, position, TensorView<float, 1>{expected.data(), {70}});
      decode_row(ordered, order.row_at(position), TensorView<float, 1>{found.data(), {70}});
      wrong += support::bits_of(found) == support::bits_of(expected) ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("decode_row: refuses rows and lengths that do not fit") {
  const PackedMatrix matrix = support::mixed_matrix(17, support::make_basis(65, 0, false), 2);
  Row weights(80);
  const auto decode = [&](std::size_t row, std::size_t length) {
    decode_row(matrix, row, TensorView<float, 1>{weights.data(), {length}});
  };
  CHECK_NOTHROW(decode(16, 65));
  CHECK_THROWS_WITH_AS(decode(17, 65),
                       "matrix: row 17 of length 65 asked of a matrix of shape [17, 65]",
                       nash_swarm::Error);
  CHECK_THROWS_AS(decode(0, 64), nash_swarm::Error);
  CHECK_THROWS_AS(decode(0, 80), nash_swarm::Error);
}

TEST_CASE("decode_row, matmul: an empty matrix is refused") {
  const PackedMatrix empty;
  CHECK(empty.empty());
  float x[64] = {};
  float y[1] = {};
  nash_swarm::SerialExecutor executor;
  CHECK_THROWS_AS(decode_row(empty, 0, TensorView<float, 1>{x, {64}}), nash_swarm::Error);
  CHECK_THROWS_AS(nash_swarm::matmul(empty, TensorView<const float, 2>{x, {1, 64}},
                                     TensorView<float, 2>{y, {1, 1}}, executor),
                  nash_swarm::Error);
}
