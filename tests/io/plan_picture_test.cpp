#include <nash_swarm/io/plan_picture.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "io/support.hpp"
#include "support/lcg.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::CellMap;
using nash_swarm::FormatId;
using nash_swarm::MatrixPlan;
using nash_swarm::test::contains;

namespace {

MatrixPlan matrix(const std::string& name, std::size_t out, std::size_t in, CellMap cells) {
  return {name, out, in, nullptr, std::move(cells)};
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("picture: areas are the weights, inside the picture, in order") {
  std::vector<MatrixPlan> matrices;
  double weights = 0;
  for (std::size_t i = 0; i < 30; ++i) {
    const std::size_t out = 16 * (1 + i * i % 70);
    matrices.push_back(
        matrix("m" + std::to_string(i), out, 128, CellMap(out / 16, 2, FormatId{3})));
    weights += static_cast<double>(out * 128);
  }
  double area = 0;
  for (const auto& tile : nash_swarm::detail::picture_tiles(matrices)) {
    const double own = static_cast<double>(matrices[tile.matrix].out_features * 128);
    CHECK(tile.width * tile.height == doctest::Approx(1200.0 * 800.0 * own / weights));
    CHECK(tile.x + tile.width <= 1200.001);
    CHECK(tile.y + tile.height <= 840.001);
    area += tile.width * tile.height;
  }
  CHECK(area == doctest::Approx(1200.0 * 800.0));
}

TEST_CASE("picture: equal neighbours are one rectangle, names are escaped") {
  CellMap cells(4, 4, FormatId{3});
  cells(1, 2) = FormatId{8};
  const std::string svg = nash_swarm::plan_picture({matrix("a<b>&c", 64, 256, cells)});
  CHECK(contains(svg, "a&lt;b&gt;&amp;c"));
  CHECK_FALSE(contains(svg, "a<b"));
  // Legend: two. Matrix: one above, three in the middle, one below.
  CHECK(count(svg, "z\"/>") + count(svg, "zM") == 2 + 5);
  CHECK(contains(svg, "b3_l3: 3 bits, 93.8 %"));
  CHECK(contains(svg, "linear8: 8 bits, 6.2 %"));
  CHECK(count(svg, "<g>") == 1);
  CHECK(svg.ends_with("</svg>\n"));
}

TEST_CASE("picture: a large model without any equal neighbours stays small") {
  support::Lcg random(7);
  std::vector<MatrixPlan> matrices;
  for (std::size_t i = 0; i < 13; ++i) {
    CellMap cells(600, 24, FormatId{3});
    for (std::size_t p = 0; p < cells.panels(); ++p) {
      for (std::size_t b = 0; b < cells.blocks(); ++b) {
        cells(p, b) = support::random_format(random);
      }
    }
    matrices.push_back(matrix("h." + std::to_string(i), 9600, 1536, std::move(cells)));
  }
  const std::size_t bytes = nash_swarm::plan_picture(matrices).size();
  CHECK(bytes < 4'000'000);
  CHECK(bytes > 100'000);
}
