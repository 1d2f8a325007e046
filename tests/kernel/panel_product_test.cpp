#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include <nash_swarm/matmul.hpp>

#include "support/integer_product.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::Activations;
using nash_swarm::InputBasis;
using nash_swarm::PackedMatrix;
using support::make_basis;
using support::Row;
using support::serial;

namespace {

/// Every instruction set of this machine against the product in integers, bit for bit.
void check_inputs(const PackedMatrix& matrix, const Row& inputs) {
  support::check_every_set(
      matrix, nash_swarm::quantize_activations(
                  matrix.basis(), support::rows_of(inputs, matrix.in_features()), serial));
}

/// Bytes that differ from panel to panel, for a matrix that is large.
struct CheapBytes {
  std::uint32_t operator()() noexcept { return (count++ * 0x9e3779b1u) >> 24; }
  std::uint32_t count = 0;
};

}  // namespace

TEST_CASE("panel product: every format equals the product in integers with every instruction set") {
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    const auto check = [&](const support::Shape& shape, std::size_t rotation,
                           std::initializer_list<std::size_t> all_tokens) {
      const auto basis = make_basis(shape.in, rotation, false);
      const PackedMatrix matrix = support::any_matrix(
          shape.out, basis, [&](auto, auto) { return f; }, f);
      for (const std::size_t tokens : all_tokens) {
        check_inputs(matrix, support::random_inputs(tokens, shape.in, tokens));
      }
    };
    // A scale of the activations for one block, and for four, whose sums are one.
    check({37, 320}, 64, {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 33});
    check({37, 256}, 256, {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 33});
    check({1, 64}, 0, {1, 2, 9});
    check({17, 65}, 128, {1, 2, 9});
    check({85, 768}, 256, {1, 2, 9});
  }
}

TEST_CASE("panel product: cells of all formats mixed, odd shapes, more tokens than a tile") {
  const support::Shape shapes[] = {{1, 64}, {17, 65}, {100, 1024}};
  for (const support::Shape& shape : shapes) {
    for (const std::size_t rotation : {std::size_t{0}, InputBasis::widest_rotation(shape.in)}) {
      CAPTURE(rotation);
      const PackedMatrix matrix = support::any_matrix(
          shape.out, make_basis(shape.in, rotation, false), support::AnyFormat(2), shape.out);
      for (const std::size_t tokens : {1u, 5u, 67u}) {
        check_inputs(matrix, support::random_inputs(tokens, shape.in, 7 + tokens));
      }
    }
  }
}

TEST_CASE("panel product: many tokens share panels that are decoded a few at a time") {
  // Three panels of 5120 channels are decoded at a time, and none of 16,448.
  const support::Shape shapes[] = {{75, 5120}, {17, 16448}};
  for (const support::Shape& shape : shapes) {
    CAPTURE(shape.in);
    const PackedMatrix matrix = support::any_matrix(shape.out, make_basis(shape.in, 64, false),
                                                    support::AnyFormat(3), shape.out);
    for (const std::size_t tokens : {65u, 130u}) {
      CAPTURE(tokens);
      check_inputs(matrix, support::random_inputs(tokens, shape.in, tokens));
    }
  }
}

TEST_CASE("panel product: an embedding of GPT-2's shape") {
  constexpr support::Shape shape{50257, 768};
  // Panels of a format stand together, since kernels take those at a time.
  const auto format_of = [](std::size_t panel) { return panel / 200; };
  const PackedMatrix matrix = support::any_matrix(
      shape.out, make_basis(shape.in, 256, false),
      [&](std::size_t panel, std::size_t) { return format_of(panel); }, CheapBytes());
  const Row inputs = support::random_inputs(1, shape.in, 8);
  const Activations x =
      nash_swarm::quantize_activations(matrix.basis(), support::rows_of(inputs, shape.in), serial);
  const Row y = support::multiply(matrix, inputs);
  const std::size_t last = matrix.cells().panels() - 1;
  for (std::size_t panel = last % 67; panel <= last; panel += 67) {
    CAPTURE(panel);
    CAPTURE(nash_swarm::format_table[format_of(panel)].name);
    const Row expected = support::integer_product(matrix, panel, x);
    const auto first = y.begin() + static_cast<std::ptrdiff_t>(panel * nash_swarm::panel_rows);
    const Row own(first, first + static_cast<std::ptrdiff_t>(expected.size()));
    CHECK(support::bits_of(own) == support::bits_of(expected));
  }
}

TEST_CASE("panel product: a set that the machine lacks is refused") {
  const PackedMatrix matrix = support::uniform_matrix(16, make_basis(64, 0, false), 1, 1);
  const Row inputs(64, 1.0f);
  const Activations x =
      nash_swarm::quantize_activations(matrix.basis(), support::rows_of(inputs, 64), serial);
  Row y(matrix.out_features());
  int refused = 0;
  int lacking = 0;
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) continue;
    ++lacking;
    try {
      nash_swarm::matmul(matrix, x, {y.data(), {1, y.size()}}, serial, entry.set);
    } catch (const nash_swarm::Error&) {
      ++refused;
    }
  }
  CHECK(lacking > 0);  // no machine has both x86's and ARM's
  CHECK(refused == lacking);
}
