#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/instruction_sets.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::Activations;
using nash_swarm::InputBasis;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using support::make_basis;
using support::Row;
using support::serial;

namespace {

const nash_swarm::Format& format_of(const PackedMatrix& matrix, std::size_t panel,
                                    std::size_t block) {
  return nash_swarm::format_table[nash_swarm::format_index(matrix.cells()(panel, block))];
}

Row product(const PackedMatrix& matrix, const Activations& x, InstructionSet set) {
  Row y(x.tokens() * matrix.out_features(), -1.0f);
  nash_swarm::matmul(matrix, x, {y.data(), {x.tokens(), matrix.out_features()}}, serial, set);
  return y;
}

/// The product in integers: sums run over neighbouring blocks of one format and one scale of the
/// activations, and nothing is rounded before. Scaled, they are added one after the other, each
/// with one rounding.
Row exact_product(const PackedMatrix& matrix, const Activations& x) {
  const std::size_t blocks = matrix.cells().blocks();
  const std::size_t blocks_per_scale = x.scale_block() / nash_swarm::block_channels;
  Row y;
  std::vector<nash_swarm::BlockValues> weights(matrix.cells().panels() * blocks);
  const std::byte* codes = matrix.codes().data();
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const nash_swarm::Format& format = format_of(matrix, i / blocks, i % blocks);
    format.decode(codes, weights[i]);
    codes += format.block_bytes;
  }
  for (std::size_t t = 0; t < x.tokens(); ++t) {
    for (std::size_t row = 0; row < matrix.out_features(); ++row) {
      const std::size_t panel = row / nash_swarm::panel_rows;
      float total = 0;
      std::int64_t sum = 0;
      for (std::size_t b = 0; b < blocks; ++b) {
        const auto& own = weights[panel * blocks + b].at[row % nash_swarm::panel_rows];
        for (std::size_t k = 0; k < nash_swarm::block_channels; ++k) {
          sum += own[k] * x.code(t, b * nash_swarm::block_channels + k);
        }
        const nash_swarm::Format& format = format_of(matrix, panel, b);
        if ((b + 1) % blocks_per_scale != 0 && format.id == format_of(matrix, panel, b + 1).id) {
          continue;
        }
        const float scale = x.scale(t, b / blocks_per_scale) * format.unit;
        total = std::fma(static_cast<float>(sum), scale, total);
        sum = 0;
      }
      y.push_back(total * nash_swarm::to_float(matrix.row_scales()[row]));
    }
  }
  return y;
}

/// Every instruction set of this machine against the product in integers, bit for bit.
void check_sets(const PackedMatrix& matrix, const Row& inputs) {
  const Activations x = nash_swarm::quantize_activations(
      matrix.basis(), support::rows_of(inputs, matrix.in_features()), serial);
  const auto expected = support::bits_of(exact_product(matrix, x));
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    CHECK(support::bits_of(product(matrix, x, set)) == expected);
  }
}

}  // namespace

TEST_CASE("panel product: every format equals the product in integers with every instruction set") {
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    // A scale of the activations for one block, and for four, whose sums are one.
    for (const auto& basis : {make_basis(320, 64, false), make_basis(256, 256, false)}) {
      const PackedMatrix matrix = support::any_matrix(
          37, basis, [&](auto, auto) { return f; }, f);
      for (const std::size_t tokens : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 9u, 15u, 33u}) {
        CAPTURE(tokens);
        check_sets(matrix, support::random_inputs(tokens, basis->in_features(), tokens));
      }
    }
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
        check_sets(matrix, support::random_inputs(tokens, shape.in, 7 + tokens));
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
      check_sets(matrix, support::random_inputs(tokens, shape.in, tokens));
    }
  }
}

TEST_CASE("panel product: codes and activations at their extremes") {
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    for (const unsigned byte : {0x00u, 0xffu, 0x7fu, 0x80u}) {
      CAPTURE(byte);
      const PackedMatrix matrix = support::any_matrix(
          16, make_basis(256, 0, false), [&](auto, auto) { return f; }, [&] { return byte; });
      Row inputs(2 * 256, 1.0f);  // codes of 127, and in the second row of −127
      for (std::size_t i = 256; i < inputs.size(); ++i) inputs[i] = -1.0f;
      check_sets(matrix, inputs);
    }
  }
}

TEST_CASE("panel product: a set that the machine lacks is refused") {
  const PackedMatrix matrix = support::uniform_matrix(16, make_basis(64, 0, false), 1, 1);
  const Row inputs(64, 1.0f);
  const Activations x =
      nash_swarm::quantize_activations(matrix.basis(), support::rows_of(inputs, 64), serial);
  int refused = 0;
  int lacking = 0;
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) continue;
    ++lacking;
    try {
      product(matrix, x, entry.set);
    } catch (const nash_swarm::Error&) {
      ++refused;
    }
  }
  CHECK(lacking > 0);  // no machine has both x86's and ARM's
  CHECK(refused == lacking);
}
