#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/instruction_sets.hpp"
#include "support/lcg.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

using nash_swarm::Activations;
using nash_swarm::InputBasis;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using support::Row;
using support::serial;

namespace {

/// A matrix of bytes that are drawn, or all the same, in any formats.
class AnyMatrix {
 public:
  template <class FormatOf, class ByteOf>
  AnyMatrix(std::size_t out, std::size_t in, std::size_t rotation, FormatOf format, ByteOf byte)
      : cells_(nash_swarm::panel_count(out), nash_swarm::block_count(in), nash_swarm::FormatId{0}) {
    for (std::size_t p = 0; p < cells_.panels(); ++p) {
      for (std::size_t b = 0; b < cells_.blocks(); ++b) {
        cells_(p, b) = nash_swarm::format_table[format(p, b)].id;
      }
    }
    codes_.resize(nash_swarm::code_bytes(cells_));
    for (std::byte& code : codes_) code = static_cast<std::byte>(byte());
    for (std::size_t row = 0; row < out; ++row) {
      scales_.push_back(nash_swarm::to_bfloat16(1.0f + 0.1f * static_cast<float>(row % 7)));
    }
    runs_ = nash_swarm::encode_runs(cells_);
    matrix_ = PackedMatrix({"w", out, std::make_shared<InputBasis>("x", in, rotation, 1), codes_,
                            scales_, runs_, nullptr});
  }
  const PackedMatrix& matrix() const { return matrix_; }

 private:
  nash_swarm::CellMap cells_;
  std::vector<std::byte> codes_;
  std::vector<nash_swarm::BFloat16> scales_;
  std::vector<std::uint8_t> runs_;
  PackedMatrix matrix_;
};

Row product(const PackedMatrix& matrix, const Activations& x, InstructionSet set) {
  Row y(x.tokens() * matrix.out_features(), -1.0f);
  nash_swarm::matmul(matrix, x, {y.data(), {x.tokens(), matrix.out_features()}}, serial, set);
  return y;
}

/// Every instruction set of this machine against the portable product, bit for bit.
void check_sets(const PackedMatrix& matrix, const Row& inputs) {
  const Activations x = nash_swarm::quantize_activations(
      matrix.basis(), support::rows_of(inputs, matrix.in_features()), serial);
  const auto expected = support::bits_of(product(matrix, x, InstructionSet::portable));
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    CHECK(support::bits_of(product(matrix, x, set)) == expected);
  }
}

}  // namespace

TEST_CASE("panel product: every format gives the same bits with every instruction set") {
  support::Lcg random(1);
  const auto byte = [&] { return random.below(256); };
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    const AnyMatrix any(
        37, 320, 64, [&](auto, auto) { return f; }, byte);
    for (const std::size_t tokens : {1u, 2u, 3u, 8u, 15u}) {
      CAPTURE(tokens);
      check_sets(any.matrix(), support::random_inputs(tokens, 320, tokens));
    }
  }
}

TEST_CASE("panel product: cells of all formats mixed, odd shapes, more tokens than a tile") {
  support::Lcg random(2);
  const auto byte = [&] { return random.below(256); };
  const auto format = [&](auto, auto) {
    return random.below(static_cast<std::uint32_t>(nash_swarm::format_count));
  };
  const support::Shape shapes[] = {{1, 64}, {17, 65}, {100, 1024}};
  for (const support::Shape& shape : shapes) {
    for (const std::size_t rotation : {std::size_t{0}, InputBasis::widest_rotation(shape.in)}) {
      CAPTURE(rotation);
      const AnyMatrix any(shape.out, shape.in, rotation, format, byte);
      for (const std::size_t tokens : {1u, 5u, 67u}) {
        check_sets(any.matrix(), support::random_inputs(tokens, shape.in, 7 + tokens));
      }
    }
  }
}

TEST_CASE("panel product: codes and activations at their extremes") {
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    for (const unsigned byte : {0x00u, 0xffu, 0x7fu, 0x80u}) {
      CAPTURE(byte);
      const AnyMatrix any(
          16, 256, 0, [&](auto, auto) { return f; }, [&] { return byte; });
      Row inputs(2 * 256, 1.0f);  // codes of 127, and in the second row of −127
      for (std::size_t i = 256; i < inputs.size(); ++i) inputs[i] = -1.0f;
      check_sets(any.matrix(), inputs);
    }
  }
}

TEST_CASE("panel product: a set that the machine lacks is refused") {
  const AnyMatrix any(
      16, 64, 0, [](auto, auto) { return std::size_t{1}; }, [] { return 0u; });
  const Row inputs(64, 1.0f);
  const Activations x =
      nash_swarm::quantize_activations(any.matrix().basis(), support::rows_of(inputs, 64), serial);
  int refused = 0;
  int lacking = 0;
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) continue;
    ++lacking;
    try {
      product(any.matrix(), x, entry.set);
    } catch (const nash_swarm::Error&) {
      ++refused;
    }
  }
  CHECK(lacking > 0);  // no machine has both x86's and ARM's
  CHECK(refused == lacking);
}
