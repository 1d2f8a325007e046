#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/guarded_memory.hpp"
#include "support/instruction_sets.hpp"
#include "support/lcg.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using support::ReservedMemory;
using support::Row;
using support::serial;

namespace {

constexpr std::size_t four_gigabytes = std::size_t{1} << 32;

/// A matrix of more than 2^31 weights and 2^32 bytes of codes. There is memory for the codes of the
/// last panel alone, at whose rows the tests look.
class HugeMatrix {
 public:
  static constexpr std::size_t in = std::size_t{1} << 16;
  static constexpr std::size_t panel_bytes = 2 * nash_swarm::panel_rows * in;
  static constexpr std::size_t last_panel = four_gigabytes / panel_bytes;
  static constexpr std::size_t first_row = last_panel * nash_swarm::panel_rows;
  static constexpr std::size_t out = first_row + nash_swarm::panel_rows - 3;

  HugeMatrix()
      : basis_(support::make_basis(in, 256, false)),
        codes_((last_panel + 1) * panel_bytes),
        row_scales_(out, nash_swarm::to_bfloat16(0.25f)),
        run_table_(last_panel + 1, 16 | nash_swarm::CellMap::to_the_end) {
    codes_.open(last_panel * panel_bytes, panel_bytes);
    support::Lcg random(1);
    for (std::byte& code : panel()) code = static_cast<std::byte>(random.below(128));
    const std::span<const std::byte> all(codes_.data(), codes_.size());
    whole_ = PackedMatrix({"huge", out, basis_, all, row_scales_, run_table_, nullptr});
    const std::span<const nash_swarm::BFloat16> scales(row_scales_);
    part_ = PackedMatrix({"its last panel",
                          out - first_row,
                          basis_,
                          panel(),
                          scales.subspan(first_row),
                          {&run_table_.back(), 1},
                          nullptr});
  }

  const PackedMatrix& whole() const { return whole_; }
  /// The rows of the last panel as a matrix of their own.
  const PackedMatrix& part() const { return part_; }

 private:
  std::span<std::byte> panel() { return {codes_.data() + last_panel * panel_bytes, panel_bytes}; }

  std::shared_ptr<const nash_swarm::InputBasis> basis_;
  ReservedMemory codes_;
  std::vector<nash_swarm::BFloat16> row_scales_;
  std::vector<std::uint8_t> run_table_;
  PackedMatrix whole_;
  PackedMatrix part_;
};

}  // namespace

TEST_CASE("huge matrix: codes beyond 2^32 bytes are counted and found") {
  const HugeMatrix huge;
  const PackedMatrix& matrix = huge.whole();
  CHECK(nash_swarm::code_bytes(matrix.cells()) == four_gigabytes + HugeMatrix::panel_bytes);
  CHECK(matrix.stored_bytes() > four_gigabytes);
  CHECK(matrix.panel_codes(HugeMatrix::last_panel) == matrix.codes().data() + four_gigabytes);
  Row expected(HugeMatrix::in);
  Row weights(HugeMatrix::in);
  for (const std::size_t row : {std::size_t{0}, huge.part().out_features() - 1}) {
    decode_row(huge.part(), row, TensorView<float, 1>{expected.data(), {expected.size()}});
    decode_row(matrix, HugeMatrix::first_row + row,
               TensorView<float, 1>{weights.data(), {weights.size()}});
    CHECK(support::bits_of(weights) == support::bits_of(expected));
  }
}

TEST_CASE("huge matrix: the panel beyond 2^32 bytes is multiplied by every instruction set") {
  const HugeMatrix huge;
  constexpr std::size_t tokens = 2;
  const Row inputs = support::random_inputs(tokens, HugeMatrix::in, 5);
  const Row expected = support::multiply(huge.part(), inputs);
  const auto x = nash_swarm::quantize_activations(huge.whole().basis(),
                                                  support::rows_of(inputs, HugeMatrix::in), serial);
  Row outputs(tokens * HugeMatrix::out);
  const TensorView<float, 2> y{outputs.data(), {tokens, HugeMatrix::out}};
  for (const auto set : support::supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    nash_swarm::detail::panel_product_for(set).multiply(
        huge.whole(), {HugeMatrix::last_panel, HugeMatrix::last_panel + 1, 0, tokens}, x,
        y.slice(1, HugeMatrix::first_row, HugeMatrix::out));
    Row last;
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t row = HugeMatrix::first_row; row < HugeMatrix::out; ++row) {
        last.push_back(y(t, row));
        y(t, row) = -1.0f;
      }
    }
    CHECK(support::bits_of(last) == support::bits_of(expected));
  }
}

TEST_CASE("huge matrix: inputs and outputs may lie further apart than 2^32 elements") {
  constexpr std::size_t stride = (std::size_t{1} << 32) + 3;
  constexpr std::size_t tokens = 2;
  constexpr support::Shape shape{17, 65};
  const PackedMatrix matrix =
      support::mixed_matrix(shape.out, support::make_basis(shape.in, 0, true), 3);
  const Row inputs = support::random_inputs(tokens, shape.in, 6);
  const Row expected = support::multiply(matrix, inputs);
  ReservedMemory x_memory((stride + shape.in) * sizeof(float));
  ReservedMemory y_memory((stride + shape.out) * sizeof(float));
  for (const std::size_t token : {0u, 1u}) {
    x_memory.open(token * stride * sizeof(float), shape.in * sizeof(float));
    y_memory.open(token * stride * sizeof(float), shape.out * sizeof(float));
  }
  const TensorView<float, 2> x{
      reinterpret_cast<float*>(x_memory.data()), {tokens, shape.in}, {stride, 1}};
  const TensorView<float, 2> y{
      reinterpret_cast<float*>(y_memory.data()), {tokens, shape.out}, {stride, 1}};
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t k = 0; k < shape.in; ++k) x(t, k) = inputs[t * shape.in + k];
  }
  const auto activations =
      nash_swarm::quantize_activations(matrix.basis(), TensorView<const float, 2>(x), serial);
  for (const auto set : support::supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    nash_swarm::matmul(matrix, activations, y, serial, set);
    Row outputs;
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t row = 0; row < shape.out; ++row) {
        outputs.push_back(y(t, row));
        y(t, row) = -1.0f;
      }
    }
    CHECK(support::bits_of(outputs) == support::bits_of(expected));
  }
}
