#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "kernel/reference_product.hpp"
#include "support/decoding.hpp"
#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using support::bits_of;
using support::for_each_basis;
using support::odd_shapes;
using support::random_inputs;
using support::Row;
using support::rows_of;
using support::serial;
using support::Shape;

namespace {

template <class E>
Row exact_product(const PackedMatrix& matrix, const Row& x, E& executor,
                  InstructionSet set = nash_swarm::default_instruction_set()) {
  const std::size_t tokens = x.size() / matrix.in_features();
  Row y(tokens * matrix.out_features(), -1.0f);
  matmul_exact(matrix, rows_of(x, matrix.in_features()),
               TensorView<float, 2>{y.data(), {tokens, matrix.out_features()}}, executor, set);
  return y;
}

}  // namespace

TEST_CASE("matmul_exact: equals the product with the decoded weights") {
  for (const Shape& shape : odd_shapes) {
    for_each_basis(shape.in, [&](const auto& basis) {
      const PackedMatrix matrix = support::mixed_matrix(shape.out, basis, 7 * shape.out);
      const std::vector<float> decoded = support::decoded(matrix);
      const reference::Dense weights{shape.out, shape.in, {decoded.begin(), decoded.end()}};
      for (const std::size_t tokens : {1u, 5u}) {
        const Row x = random_inputs(tokens, shape.in, 50 + tokens);
        const reference::Product expected =
            reference::multiply(weights, {tokens, shape.in, {x.begin(), x.end()}});
        for (const InstructionSet set : support::supported_instruction_sets()) {
          const Row y = exact_product(matrix, x, serial, set);
          int wrong = 0;
          for (std::size_t i = 0; i < y.size(); ++i) {
            const double error = static_cast<double>(y[i]) - expected.values.values[i];
            wrong += std::fabs(error) <= 1e-6 * expected.magnitudes.values[i] ? 0 : 1;
          }
          CHECK(wrong == 0);
        }
      }
    });
  }
}

TEST_CASE("matmul_exact: neither threads nor the tokens beside change a bit") {
  const auto basis = support::make_basis(600, 128, true);
  const PackedMatrix matrix = support::mixed_matrix(150, basis, 9);
  const Row x = random_inputs(9, 600, 51);
  const Row expected = exact_product(matrix, x, serial);
  nash_swarm::ThreadPool pool(3);
  CHECK(bits_of(exact_product(matrix, x, pool)) == bits_of(expected));
  const Row last(x.end() - 600, x.end());
  CHECK(bits_of(exact_product(matrix, last, serial)) ==
        bits_of(Row(expected.end() - 150, expected.end())));
}

TEST_CASE("matmul_exact: rows in another order give the same outputs at their places") {
  for (const std::size_t out : {17u, 100u, 150u}) {
    const PackedMatrix matrix = support::mixed_matrix(out, support::make_basis(130, 64, true), out);
    const nash_swarm::RowOrder order = support::random_row_order(out, out);
    const PackedMatrix ordered = support::in_order(matrix, order);
    const Row x = random_inputs(5, 130, 54);
    for (const InstructionSet set : support::supported_instruction_sets()) {
      const Row expected = exact_product(matrix, x, serial, set);
      const Row y = exact_product(ordered, x, serial, set);
      int wrong = 0;
      for (std::size_t t = 0; t < 5; ++t) {
        for (std::size_t row = 0; row < out; ++row) {
          wrong += y[t * out + row] == expected[t * out + order.position_of(row)] ? 0 : 1;
        }
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("matmul_exact: strided inputs and outputs") {
  const PackedMatrix matrix = support::mixed_matrix(33, support::make_basis(65, 0, true), 10);
  const Row x = random_inputs(4, 65, 52);
  const Row expected = exact_product(matrix, x, serial);
  Row x_memory(65 * 4);
  const auto x_columns = TensorView<float, 2>{x_memory.data(), {65, 4}}.transposed();
  for (std::size_t i = 0; i < x.size(); ++i) x_columns(i / 65, i % 65) = x[i];
  Row y_memory(33 * 4);
  const auto y_columns = TensorView<float, 2>{y_memory.data(), {33, 4}}.transposed();
  matmul_exact(matrix, x_columns, y_columns, serial);
  int wrong = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    wrong += y_columns(i / 33, i % 33) == expected[i] ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("matmul_exact: tokens that are not finite disturb no other, and no tokens give nothing") {
  const PackedMatrix matrix = support::mixed_matrix(33, support::make_basis(65, 128, false), 11);
  Row x = random_inputs(3, 65, 53);
  const Row expected = exact_product(matrix, x, serial);
  x[65 + 2] = std::numeric_limits<float>::quiet_NaN();
  const Row y = exact_product(matrix, x, serial);
  int wrong = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    wrong += i / 33 == 1 ? !std::isnan(y[i]) : y[i] != expected[i];
  }
  CHECK(wrong == 0);
  CHECK(exact_product(matrix, {}, serial).empty());
}

TEST_CASE("matmul_exact: what does not fit is refused") {
  const PackedMatrix matrix = support::mixed_matrix(17, support::make_basis(65, 0, false), 12);
  Row x(3 * 70);
  Row y(3 * 70);
  const auto problem_of = [&](std::size_t x_columns, std::size_t y_rows, std::size_t y_columns,
                              InstructionSet set) -> std::string {
    try {
      matmul_exact(matrix, TensorView<const float, 2>{x.data(), {std::size_t{3}, x_columns}},
                   TensorView<float, 2>{y.data(), {y_rows, y_columns}}, serial, set);
    } catch (const nash_swarm::Error& error) {
      return error.problem();
    }
    return "accepted";
  };
  const auto portable = InstructionSet::portable;
  CHECK(problem_of(65, 3, 17, portable) == "accepted");
  CHECK(problem_of(64, 3, 17, portable) == "input of 64 channels for a basis of 65");
  CHECK(problem_of(65, 2, 17, portable) ==
        "output of shape [2, 17] for a product of shape [3, 17]");
  CHECK_THROWS_AS(matmul_exact(PackedMatrix(), {}, {}, serial), nash_swarm::Error);
  const PackedMatrix square = support::mixed_matrix(65, support::make_basis(65, 0, false), 12);
  const TensorView<float, 2> in_place{x.data(), {std::size_t{3}, std::size_t{65}}};
  CHECK_THROWS_AS(matmul_exact(square, in_place, in_place, serial), nash_swarm::Error);
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) continue;
    CHECK(problem_of(65, 3, 17, entry.set) ==
          "this machine lacks the instruction set that is asked for");
  }
}
