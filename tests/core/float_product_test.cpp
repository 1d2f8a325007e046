#include <nash_swarm/core/float_product.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/support.hpp"
#include "support/instruction_sets.hpp"
#include "support/lcg.hpp"

namespace {

using nash_swarm::InstructionSet;
using nash_swarm::TensorView;

std::vector<float> random_values(std::size_t count, std::uint64_t seed) {
  support::Lcg random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = random.real();
  return values;
}

/// Largest difference of c to what it was plus ab, in units of the rounding of a sum.
double worst_error(TensorView<const float, 2> a, TensorView<const float, 2> b,
                   TensorView<const float, 2> before, TensorView<const float, 2> c) {
  double worst = 0.0;
  for (std::size_t i = 0; i < c.extent(0); ++i) {
    for (std::size_t j = 0; j < c.extent(1); ++j) {
      double sum = static_cast<double>(before(i, j));
      double size = std::abs(sum);
      for (std::size_t k = 0; k < a.extent(1); ++k) {
        const double term = static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
        sum += term;
        size += std::abs(term);
      }
      const double gap = std::abs(sum - static_cast<double>(c(i, j)));
      worst = std::max(worst, gap / (size * 0x1p-24 + 1e-30));
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("float product: equals its definition for any shape, on every instruction set") {
  struct Shape {
    std::size_t rows, columns, depth;
  };
  for (const Shape shape :
       {Shape{1, 1, 1}, Shape{8, 48, 256}, Shape{9, 64, 40}, Shape{7, 49, 257}, Shape{13, 100, 3},
        Shape{64, 47, 300}, Shape{5, 15, 600}, Shape{3, 130, 0}}) {
    const std::size_t rows = shape.rows, columns = shape.columns, depth = shape.depth;
    const std::vector<float> a = random_values(rows * depth, 1);
    const std::vector<float> b = random_values(depth * columns, 2);
    const std::vector<float> before = random_values(rows * columns, 3);
    const TensorView<const float, 2> a_view(a.data(), {rows, depth});
    const TensorView<const float, 2> b_view(b.data(), {depth, columns});
    for (const InstructionSet set : support::supported_instruction_sets()) {
      CAPTURE(rows);
      CAPTURE(columns);
      CAPTURE(static_cast<int>(set));
      std::vector<float> c = before;
      const TensorView<float, 2> c_view(c.data(), {rows, columns});
      nash_swarm::add_product(a_view, b_view, c_view, set);
      CHECK(worst_error(a_view, b_view, {before.data(), {rows, columns}}, c_view) < 64.0);
    }
  }
}

TEST_CASE("float product: any strides, and nothing written beside the target") {
  constexpr std::size_t rows = 11, columns = 53, depth = 29;
  const std::vector<float> a = random_values(depth * rows, 1);
  const std::vector<float> b = random_values(columns * depth, 2);
  const TensorView<const float, 2> a_view =
      TensorView<const float, 2>(a.data(), {depth, rows}).transposed();
  const TensorView<const float, 2> b_view =
      TensorView<const float, 2>(b.data(), {columns, depth}).transposed();
  for (const InstructionSet set : support::supported_instruction_sets()) {
    for (const bool transposed : {false, true}) {
      const std::vector<float> before = random_values(60 * 60, 3);
      std::vector<float> c = before;
      const auto part = [&](auto view) {
        return (transposed ? view.transposed() : view)
            .slice(0, 2, 2 + rows)
            .slice(1, 3, 3 + columns);
      };
      const TensorView<float, 2> whole(c.data(), {60, 60});
      const TensorView<const float, 2> was(before.data(), {60, 60});
      nash_swarm::add_product(a_view, b_view, part(whole), set);
      CHECK(worst_error(a_view, b_view, part(was), part(whole)) < 64.0);
      std::size_t changed = 0;
      for (std::size_t i = 0; i < c.size(); ++i) changed += c[i] != before[i] ? 1u : 0u;
      CHECK(changed <= rows * columns);
    }
  }
}

TEST_CASE("float product: shapes that do not fit are refused") {
  std::vector<float> c(6);
  const std::vector<float> a(6);
  const TensorView<const float, 2> view(a.data(), {2, 3});
  CHECK(nash_swarm::test::message_of([&] {
          nash_swarm::add_product(view, view, TensorView<float, 2>(c.data(), {2, 3}));
        }) == "product: [2, 3] times [2, 3] is not [2, 3]");
}
