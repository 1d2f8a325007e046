#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "kernel/reference_product.hpp"
#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::ActivationBits;
using nash_swarm::Activations;
using nash_swarm::InputBasis;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using support::bits_of;
using support::for_each_basis;
using support::multiply;
using support::odd_shapes;
using support::random_inputs;
using support::Row;
using support::rows_of;
using support::serial;
using support::Shape;

namespace {

/// Number of outputs that are further from the reference than their bounds.
int outside(const Row& y, const reference::Product& expected, const std::vector<double>& bounds) {
  int count = 0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const double error = std::fabs(static_cast<double>(y[i]) - expected.values.values[i]);
    count += error <= bounds[i] ? 0 : 1;
  }
  return count;
}

/// What sums in float may be off by.
std::vector<double> float_bounds(const reference::Product& expected) {
  std::vector<double> bounds = expected.magnitudes.values;
  for (double& bound : bounds) bound *= 1e-6;
  return bounds;
}

/// The same, where each activation is off by at most half a step: so an output is off by at most
/// half a step times the magnitudes of the weights of the block.
std::vector<double> rounding_bounds(const reference::Dense& weights, const Activations& x,
                                    const reference::Product& exact) {
  std::vector<double> bounds = float_bounds(exact);
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    const std::size_t finest_row = (i / weights.rows + 1) * x.rows_per_token() - 1;
    for (std::size_t k = 0; k < weights.columns; ++k) {
      bounds[i] += 0.51 * static_cast<double>(x.scale(finest_row, k / x.scale_block())) *
                   std::fabs(weights.at(i % weights.rows, k));
    }
  }
  return bounds;
}

/// Inputs, and what the reference makes of them once they are rounded.
struct Expected {
  Expected(const PackedMatrix& matrix, std::size_t tokens)
      : x(random_inputs(tokens, matrix.in_features(), 1000 + tokens)),
        product(
            reference::multiply(reference::basis_weights(matrix),
                                reference::activation_values(quantize_activations(
                                    matrix.basis(), rows_of(x, matrix.in_features()), serial)))) {}

  Row x;
  reference::Product product;
};

/// Calls check(basis) for every number of channels that may share a scale of the activations, which
/// is all of a basis that their products depend on.
template <class Check>
void for_each_scale_block(std::size_t channels, Check&& check) {
  for (const std::size_t rotation : {0u, 128u, 256u}) {
    if (rotation != 0 && (channels + 63) / 64 * 64 % rotation != 0) continue;
    CAPTURE(rotation);
    check(support::make_basis(channels, rotation, false));
  }
}

/// Compares the product of the first tokens with the reference, and its bits with those of every
/// instruction set and several numbers of threads.
void check_product(const PackedMatrix& matrix, const Expected& expected, std::size_t tokens,
                   ThreadPool& pool) {
  CAPTURE(tokens);
  const auto size = static_cast<std::ptrdiff_t>(tokens * matrix.in_features());
  const Row x(expected.x.begin(), expected.x.begin() + size);
  const Activations activations =
      quantize_activations(matrix.basis(), rows_of(x, matrix.in_features()), serial);
  const Row y = multiply(matrix, activations, tokens, serial);
  CHECK(outside(y, expected.product, float_bounds(expected.product)) == 0);
  CHECK(bits_of(multiply(matrix, x)) == bits_of(y));
  CHECK(bits_of(multiply(matrix, activations, tokens, pool)) == bits_of(y));
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(support::name_of(set));
    CHECK(bits_of(multiply(matrix, activations, serial, set)) == bits_of(y));
  }
}

}  // namespace

TEST_CASE("matmul: every format equals the reference") {
  ThreadPool pool(2);
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    for (const Shape& shape : {Shape{17, 65}, Shape{33, 130}, Shape{18, 256}}) {
      CAPTURE(shape.out);
      for_each_scale_block(shape.in, [&](const auto& basis) {
        const PackedMatrix matrix = support::uniform_matrix(shape.out, basis, f, 40 + f);
        const Expected expected(matrix, 3);
        for (const std::size_t tokens : {1u, 3u}) check_product(matrix, expected, tokens, pool);
      });
    }
  }
}

TEST_CASE("matmul: rows in another order give the same outputs at their places") {
  ThreadPool pool(3);
  for (const std::size_t out : {17u, 33u, 100u, 300u}) {
    const PackedMatrix matrix = support::mixed_matrix(out, support::make_basis(200, 64, true), out);
    const nash_swarm::RowOrder order = support::random_row_order(out, out);
    const PackedMatrix ordered = support::in_order(matrix, order);
    REQUIRE_FALSE(ordered.row_order().natural());
    for (const std::size_t tokens : {1u, 5u, 70u}) {
      for (const ActivationBits bits : {ActivationBits::eight, ActivationBits::sixteen}) {
        const Activations x = quantize_activations(
            matrix.basis(), rows_of(random_inputs(tokens, 200, tokens), 200), serial, bits);
        const Row natural = multiply(matrix, x, tokens, serial);
        Row expected(natural.size());
        for (std::size_t i = 0; i < natural.size(); ++i) {
          expected[i / out * out + order.row_at(i % out)] = natural[i];
        }
        CHECK(bits_of(multiply(ordered, x, tokens, serial)) == bits_of(expected));
        CHECK(bits_of(multiply(ordered, x, tokens, pool)) == bits_of(expected));
      }
    }
  }
}

TEST_CASE("matmul: cells of mixed formats equal the reference for any number of tokens") {
  ThreadPool pool(3);
  for (const Shape& shape : odd_shapes) {
    CAPTURE(shape.out);
    for_each_scale_block(shape.in, [&](const auto& basis) {
      const std::size_t seed = shape.out + basis->rotation_block();
      const PackedMatrix matrix = support::mixed_matrix(shape.out, basis, seed);
      const Expected expected(matrix, 70);
      for (const std::size_t tokens : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 33u, 70u}) {
        check_product(matrix, expected, tokens, pool);
      }
    });
  }
}

TEST_CASE("matmul: a token's outputs do not depend on the tokens beside it") {
  const auto basis = support::make_basis(200, 256, false);
  const PackedMatrix matrix = support::mixed_matrix(300, basis, 8);
  const Row x = random_inputs(70, 200, 4);
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(support::name_of(set));
    const auto product = [&](const Row& inputs) {
      return multiply(matrix, quantize_activations(*basis, rows_of(inputs, 200), serial), serial,
                      set);
    };
    const Row together = product(x);
    for (const std::size_t token : {0u, 1u, 63u, 64u, 69u}) {
      CAPTURE(token);
      const auto at = [&](const Row& row, std::size_t width) {
        const auto begin = row.begin() + static_cast<std::ptrdiff_t>(token * width);
        return Row(begin, begin + static_cast<std::ptrdiff_t>(width));
      };
      CHECK(bits_of(product(at(x, 200))) == bits_of(at(together, 300)));
    }
  }
}

TEST_CASE("matmul: the float product is within the bound of rounded activations") {
  for (const Shape& shape : odd_shapes) {
    CAPTURE(shape.out);
    for_each_basis(shape.in, [&](const auto& basis) {
      const std::size_t seed = 3 * shape.out + basis->rotation_block();
      const PackedMatrix matrix = support::mixed_matrix(shape.out, basis, seed);
      const std::size_t tokens = 4;
      const Row x = random_inputs(tokens, shape.in, 6);
      const reference::Dense weights = reference::basis_weights(matrix);
      const reference::Product exact = reference::multiply(
          reference::input_weights(weights, *basis), {tokens, shape.in, {x.begin(), x.end()}});
      for (const auto bits : {ActivationBits::eight, ActivationBits::sixteen}) {
        CAPTURE(static_cast<int>(bits));
        const Activations steps = quantize_activations(*basis, rows_of(x, shape.in), serial, bits);
        const std::vector<double> bounds = rounding_bounds(weights, steps, exact);
        for (const InstructionSet set : support::supported_instruction_sets()) {
          CAPTURE(support::name_of(set));
          CHECK(outside(multiply(matrix, steps, serial, set), exact, bounds) == 0);
        }
      }
    });
  }
}

TEST_CASE("matmul: 8-bit activations lose less than a hundredth, those of 16 bits 200 times less") {
  const auto basis = support::make_basis(256, 256, true);
  const PackedMatrix matrix =
      support::uniform_matrix(100, basis, nash_swarm::format_index("b4_l4"), 2);
  const Row inputs = random_inputs(20, 256, 14);
  const auto x = rows_of(inputs, 256);
  const auto product = [&](auto&& multiply_into) {
    Row y(20 * 100);
    multiply_into(TensorView<float, 2>{y.data(), {20, 100}});
    return y;
  };
  const Row exact = product([&](auto y) { matmul_exact(matrix, x, y, serial); });
  const auto loss = [&](ActivationBits bits) {
    const Row y = product([&](auto view) { matmul(matrix, x, view, serial, bits); });
    double error = 0;
    double power = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      error += std::pow(static_cast<double>(y[i]) - static_cast<double>(exact[i]), 2);
      power += std::pow(static_cast<double>(exact[i]), 2);
    }
    return std::sqrt(error / power);
  };
  CHECK(loss(ActivationBits::eight) < 0.01);
  CHECK(loss(ActivationBits::eight) > 200 * loss(ActivationBits::sixteen));
}

TEST_CASE("matmul: zero and denormal tokens give zero") {
  const auto basis = support::make_basis(64, 64, false);
  const PackedMatrix matrix = support::mixed_matrix(20, basis, 18);
  Row x(2 * 64);
  x[64 + 9] = -std::numeric_limits<float>::denorm_min();
  for (const float value : multiply(matrix, x)) CHECK(value == 0.0f);
}

TEST_CASE("matmul: a pruned matrix gives zero and no tokens give nothing") {
  const auto basis = support::make_basis(65, 128, true);
  const PackedMatrix pruned = support::uniform_matrix(17, basis, 0, 1);
  CHECK(pruned.codes().empty());
  CHECK(multiply(pruned, random_inputs(3, 65, 1)) == Row(3 * 17, 0.0f));
  CHECK_NOTHROW(nash_swarm::matmul(pruned, TensorView<const float, 2>{nullptr, {0, 65}},
                                   TensorView<float, 2>{nullptr, {0, 17}}, serial));
}

TEST_CASE("matmul: matrices of one basis share their activations") {
  const auto basis = support::make_basis(130, 64, true);
  const PackedMatrix query = support::mixed_matrix(16, basis, 21);
  const PackedMatrix value = support::mixed_matrix(40, basis, 22);
  const Row x = random_inputs(7, 130, 23);
  const Activations shared = quantize_activations(*basis, rows_of(x, 130), serial);
  CHECK(bits_of(multiply(query, shared, 7, serial)) == bits_of(multiply(query, x)));
  CHECK(bits_of(multiply(value, shared, 7, serial)) == bits_of(multiply(value, x)));
}

TEST_CASE("matmul: the largest integer sums do not overflow") {
  const auto basis = std::make_shared<const InputBasis>("basis", 256, 256, 1);
  support::MatrixBytes bytes;
  bytes.codes.resize(4 * 2048);
  for (std::size_t i = 0; i < bytes.codes.size(); ++i) {  // −32768: no encoder writes it
    bytes.codes[i] = i % 2 == 0 ? std::byte{0} : std::byte{0x80};
  }
  bytes.row_scales.resize(16, nash_swarm::BFloat16{0x3f80});
  bytes.run_table = {16 | 0x80};
  const PackedMatrix matrix = support::packed(bytes, 16, basis);
  Row input(256);
  input[0] = -basis->signs()[0];  // −1 in every channel of the basis
  Activations x = quantize_activations(*basis, rows_of(input, 256), serial);
  x.scale(0, 0) = 1.0f;
  CHECK(x.code(0, 255) == -127);
  CHECK(multiply(matrix, x, 1, serial) == Row(16, 8.0f * 127.0f * 256.0f));
}

TEST_CASE("matmul: wrong shapes are refused") {
  const auto basis = support::make_basis(65, 128, false);
  const PackedMatrix matrix = support::mixed_matrix(17, basis, 30);
  Row x(3 * 70);
  const Row untouched(3 * 70, 7.0f);
  const auto problem_of = [&](std::size_t x_rows, std::size_t x_columns, std::size_t y_rows,
                              std::size_t y_columns) -> std::string {
    const TensorView<const float, 2> input{x.data(), {x_rows, x_columns}};
    Row y = untouched;
    const TensorView<float, 2> output{y.data(), {y_rows, y_columns}};
    const auto error = nash_swarm::try_matmul(matrix, input, output, serial);
    if (error) CHECK(y == untouched);
    try {
      nash_swarm::matmul(matrix, input, output, serial);
    } catch (const nash_swarm::Error& thrown) {
      REQUIRE(error);
      CHECK(std::string(error->what()) == thrown.what());
      return thrown.problem();
    }
    CHECK(!error);
    return "accepted";
  };
  CHECK(problem_of(3, 65, 3, 17) == "accepted");
  CHECK(problem_of(3, 64, 3, 17) == "input of 64 channels for a basis of 65");
  CHECK(problem_of(65, 3, 3, 17) == "input of 3 channels for a basis of 65");
  CHECK(problem_of(3, 65, 2, 17) == "output of shape [2, 17] for a product of shape [3, 17]");
  CHECK(problem_of(3, 65, 17, 3) == "output of shape [17, 3] for a product of shape [3, 17]");
  CHECK(problem_of(3, 65, 3, 32) == "output of shape [3, 32] for a product of shape [3, 17]");
}

TEST_CASE("matmul: activations of another basis are refused") {
  const PackedMatrix matrix = support::mixed_matrix(16, support::make_basis(128, 128, false), 31);
  const std::uint64_t seed = matrix.basis().sign_seed();
  const InputBasis others[] = {{"blocks", 128, 64, seed},
                               {"channels", 256, 128, seed},
                               {"features", 127, 128, seed},
                               {"signs", 128, 128, seed + 1},
                               {"no rotation", 128, 0, seed},
                               {"order", 128, 128, seed, support::random_permutation(128, 7)}};
  for (const InputBasis& other : others) {
    CAPTURE(other.name());
    CHECK_THROWS_WITH_AS(multiply(matrix, Activations(1, other), 1, serial),
                         doctest::Contains("matrix: activations of another basis"),
                         nash_swarm::Error);
  }
}

TEST_CASE("matmul: a basis of the same map is as good whatever its name") {
  for_each_basis(130, [](const auto& basis) {
    const PackedMatrix matrix = support::mixed_matrix(16, basis, 32);
    // Without a rotation the seed says nothing.
    const std::uint64_t seed = basis->sign_seed() + (basis->rotation_block() == 0 ? 1 : 0);
    const InputBasis same("another name", 130, basis->rotation_block(), seed, basis->permutation());
    const Row x = random_inputs(2, 130, 33);
    const Activations activations = quantize_activations(same, rows_of(x, 130), serial);
    CHECK(bits_of(multiply(matrix, activations, 2, serial)) == bits_of(multiply(matrix, x)));
  });
}
