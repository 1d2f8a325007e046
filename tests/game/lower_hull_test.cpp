#include <doctest/doctest.h>

#include <algorithm>
#include <nash_swarm/game/lower_hull.hpp>
#include <vector>

#include "random_tables.hpp"

using nash_swarm::HullVertex;

namespace {

std::vector<HullVertex> hull_of(const Tables& tables) {
  std::vector<HullVertex> hull;
  nash_swarm::lower_hull(tables.view().bytes_of(0), tables.view().loss_of(0), hull);
  return hull;
}

std::vector<std::uint32_t> strategies_of(const Tables& tables) {
  std::vector<std::uint32_t> strategies;
  for (const HullVertex& vertex : hull_of(tables)) strategies.push_back(vertex.strategy);
  return strategies;
}

using Indices = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("dominated strategies and strategies above an edge are removed") {
  CHECK(strategies_of({{{5, 1.0}}}) == Indices{0});
  CHECK(strategies_of({{{5, 1.0}, {6, 1.0}, {7, 2.0}}}) == Indices{0});
  CHECK(strategies_of({{{2, 3.0}, {0, 8.0}, {4, 1.0}}}) == Indices{1, 0, 2});
  CHECK(strategies_of({{{0, 8.0}, {2, 6.0}, {4, 0.0}}}) == Indices{0, 2});
  CHECK(strategies_of({{{0, 8.0}, {0, 7.0}, {4, 0.0}}}) == Indices{1, 2});
}

TEST_CASE("of equal points the first stays, and points inside an edge are left out") {
  CHECK(strategies_of({{{4, 1.0}, {0, 3.0}, {4, 1.0}, {0, 3.0}}}) == Indices{1, 0});
  CHECK(strategies_of({{{0, 4.0}, {1, 3.0}, {2, 2.0}, {4, 0.0}}}) == Indices{0, 3});
}

TEST_CASE("random hulls are convex and hold a best response at every price") {
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const Tables tables = random_tables(random, 1, 10);
    const auto hull = hull_of(tables);
    REQUIRE(!hull.empty());
    CHECK(hull.front().bytes == std::ranges::min(tables.bytes));
    CHECK(hull.back().loss == std::ranges::min(tables.loss));
    for (std::size_t v = 1; v < hull.size(); ++v) {
      CHECK(hull[v].bytes > hull[v - 1].bytes);
      CHECK(hull[v].loss < hull[v - 1].loss);
      CHECK(hull[v].slope < hull[v - 1].slope);
      CHECK(hull[v].slope * static_cast<double>(hull[v].bytes - hull[v - 1].bytes) ==
            doctest::Approx(hull[v - 1].loss - hull[v].loss));
    }
    for (double price = 0; price < 4; price += 0.125) {  // dyadic: the sums are exact
      double best = 1e300;
      for (std::size_t a = 0; a < tables.bytes.size(); ++a) {
        best = std::min(best, tables.loss[a] + price * static_cast<double>(tables.bytes[a]));
      }
      double best_on_hull = 1e300;
      for (const HullVertex& vertex : hull) {
        CHECK(vertex.loss == tables.loss[vertex.strategy]);
        CHECK(vertex.bytes == tables.bytes[vertex.strategy]);
        best_on_hull =
            std::min(best_on_hull, vertex.loss + price * static_cast<double>(vertex.bytes));
      }
      CHECK(best_on_hull == best);
    }
  }
}
