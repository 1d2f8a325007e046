#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>

#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::ActivationBits;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using support::Row;

namespace {

constexpr support::Shape not_finite_shape{17, 65};

bool is_spoilt(std::size_t token) {
  return token % 3 == 0;
}

/// The same inputs with one value of every third token not finite: one kind after the other.
Row spoilt(Row x, std::size_t first_kind) {
  constexpr float kinds[] = {std::numeric_limits<float>::quiet_NaN(),
                             std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity()};
  const std::size_t channels = not_finite_shape.in;
  for (std::size_t token = 0; token < x.size() / channels; token += 3) {
    x[token * channels + (64 + 7 * token) % channels] = kinds[(first_kind + token / 3) % 3];
  }
  return x;
}

/// Checks the outputs of inputs that are spoilt with every set of instructions.
/// @param kind of the first value that is not finite
void check_not_finite(const PackedMatrix& matrix, std::size_t tokens, ActivationBits bits,
                      std::size_t kind) {
  CAPTURE(tokens);
  CAPTURE(static_cast<int>(bits));
  const auto product = [&](const Row& inputs, InstructionSet set) {
    const auto activations = quantize_activations(
        matrix.basis(), support::rows_of(inputs, not_finite_shape.in), support::serial, bits, set);
    return support::multiply(matrix, activations, support::serial, set);
  };
  const Row x = support::random_inputs(tokens, not_finite_shape.in, tokens);
  const Row expected = product(x, nash_swarm::default_instruction_set());
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(support::name_of(set));
    const Row y = product(spoilt(x, kind), set);
    int wrong = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
      wrong += is_spoilt(i / not_finite_shape.out) ? !std::isnan(y[i]) : y[i] != expected[i];
    }
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("matmul: tokens that are not finite give NaN and disturb no other, in every format") {
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    const auto basis = support::make_basis(not_finite_shape.in, f % 2 == 0 ? 0 : 64, false);
    const PackedMatrix matrix = support::uniform_matrix(not_finite_shape.out, basis, f, f);
    for (const std::size_t tokens : {1u, 5u, 67u}) {
      for (const auto bits : {ActivationBits::eight, ActivationBits::sixteen}) {
        check_not_finite(matrix, tokens, bits, f);
      }
    }
  }
}

TEST_CASE("matmul: tokens that are not finite give NaN and disturb no other, in mixed cells") {
  for (std::size_t seed = 0; seed < 12; ++seed) {
    const auto basis = support::make_basis(not_finite_shape.in, 0, seed % 2 == 1);
    const PackedMatrix matrix = support::mixed_matrix(not_finite_shape.out, basis, seed);
    for (const std::size_t tokens : {1u, 5u, 67u}) {
      check_not_finite(matrix, tokens, ActivationBits::eight, seed);
    }
  }
}
