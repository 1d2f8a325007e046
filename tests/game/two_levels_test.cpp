#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/matrix_game.hpp>
#include <vector>

#include "random_games.hpp"

using nash_swarm::Game;
using nash_swarm::MatrixGame;

namespace {

using Strategy = std::vector<std::uint32_t>;

/// Cells in matrices: every matrix is one chain.
struct Cells {
  OwnedGame owned;
  std::vector<std::size_t> first_cell{0};
  std::size_t dimension = 0;
  std::vector<double> directions;
  std::vector<double> coherent;

  std::size_t matrices() const { return coherent.size(); }
  nash_swarm::MatrixHeadings headings() const { return {dimension, directions, coherent}; }

  /// F of a plan of all cells.
  double loss(const Strategy& plan) const {
    std::vector<double> y(dimension);
    double sum = 0;
    for (std::size_t m = 0; m < matrices(); ++m) {
      double own = 0;
      for (std::size_t cell = first_cell[m]; cell < first_cell[m + 1]; ++cell) {
        own += owned.tables.view().loss_of(cell)[plan[cell]];
      }
      sum += (1 - coherent[m]) * own;
      for (std::size_t k = 0; k < dimension; ++k) {
        y[k] += directions[m * dimension + k] * std::sqrt(2 * coherent[m] * own);
      }
    }
    for (const double x : y) sum += x * x / 2;
    return sum;
  }
};

Cells random_cells(Random& random, std::size_t matrices, std::size_t most_cells,
                   std::size_t formats) {
  Cells cells;
  cells.dimension = 1 + below(random, 3);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (std::size_t m = 0; m < matrices; ++m) {
    const std::size_t count = 1 + below(random, most_cells);
    for (std::size_t c = 0; c < count; ++c) {
      std::vector<Tables::Strategy> strategies;
      const double scale = std::exp(3 * uniform(random));
      for (std::size_t f = 0; f < formats; ++f) {
        strategies.emplace_back(
            10 * f + below(random, 4),
            scale * std::pow(4.0, -static_cast<double>(f)) * (0.9 + 0.2 * uniform(random)));
      }
      const std::size_t player = cells.owned.tables.first.size() - 1;
      if (c > 0) cells.owned.edges.push_back({player - 1, player, 2});
      cells.owned.tables.add(strategies);
    }
    cells.first_cell.push_back(cells.owned.tables.first.size() - 1);
    const std::vector<double> direction = random_direction(random, cells.dimension);
    cells.directions.insert(cells.directions.end(), direction.begin(), direction.end());
    cells.coherent.push_back(uniform(random));
  }
  return cells;
}

}  // namespace

TEST_CASE("the hull of cells: its points are plans, its corners lie below all plans") {
  Random random(41);
  for (int trial = 0; trial < 200; ++trial) {
    const Cells cells = random_cells(random, 1, 5, 4);
    const Game game = cells.owned.view();
    const nash_swarm::CellHull hull = nash_swarm::cell_hull(game);
    for (const nash_swarm::CellHullPoint& point : hull.points) {
      const nash_swarm::Totals sum =
          nash_swarm::totals(game, nash_swarm::detail::cells_at_price(game, point.price));
      CHECK(sum.bytes == point.bytes);
      CHECK(sum.loss == point.loss);
    }
    for_each_plan(game, [&](const Strategy& plan) {
      const nash_swarm::Totals sum = nash_swarm::totals(game, plan);
      const double bytes = static_cast<double>(sum.bytes);
      REQUIRE(bytes >= hull.corners.front().bytes);
      for (std::size_t k = 0; k + 1 < hull.corners.size(); ++k) {
        const auto& left = hull.corners[k];
        const auto& right = hull.corners[k + 1];
        if (bytes < left.bytes || bytes > right.bytes || right.bytes == left.bytes) continue;
        const double part = (bytes - left.bytes) / (right.bytes - left.bytes);
        REQUIRE(sum.loss >= left.loss + part * (right.loss - left.loss));
      }
      REQUIRE(sum.loss >= hull.corners.back().loss);
    });
  }
}

TEST_CASE("the bound of the matrices holds for every plan of their cells") {
  Random random(42);
  for (int trial = 0; trial < 200; ++trial) {
    const Cells cells = random_cells(random, 3, 2, 3);
    const Game game = cells.owned.view();
    nash_swarm::SerialExecutor executor;
    const MatrixGame matrices(game, cells.first_cell, cells.headings(), executor);
    const std::uint64_t smallest = nash_swarm::smallest_bytes(game.players) + 4;
    const std::uint64_t budget = smallest + below(random, 60);
    double optimum = std::numeric_limits<double>::infinity();
    for_each_plan(game, [&](const Strategy& plan) {
      if (nash_swarm::totals(game, plan).bytes <= budget) {
        optimum = std::min(optimum, cells.loss(plan));
      }
    });
    if (nash_swarm::smallest_bytes(matrices.game().players) > budget) continue;
    const nash_swarm::Allocation allocation = nash_swarm::allocate(matrices.game(), budget);
    const nash_swarm::Certificate certificate = nash_swarm::certify(
        matrices.game(), allocation.strategy, budget, allocation.price, allocation.y);
    const Strategy plan = matrices.cells(allocation.strategy);
    CAPTURE(trial);
    CHECK(certificate.lower_bound <= optimum);
    CHECK(certificate.bytes == nash_swarm::totals(game, plan).bytes);
    CHECK(certificate.loss == doctest::Approx(cells.loss(plan)).epsilon(1e-12));
    CHECK(certificate.loss >= optimum * (1 - 1e-12));
    CHECK(certificate.epsilon == 0);
    CHECK(nash_swarm::verify(certificate, matrices.game(), allocation.strategy).empty());
    // Headings that point against y, where damage cancels, any price.
    std::vector<double> y(cells.dimension);
    for (double& x : y) x = -1 + static_cast<double>(below(random, 200)) / 100;
    const double price = static_cast<double>(below(random, 50)) / 50;
    CHECK(nash_swarm::certify(matrices.game(), allocation.strategy, budget, price, y).lower_bound <=
          optimum);
  }
}

TEST_CASE("matrices of many cells: the gap to the bound over all plans of cells is small") {
  Random random(43);
  const Cells cells = random_cells(random, 40, 60, 6);
  const Game game = cells.owned.view();
  nash_swarm::SerialExecutor executor;
  const MatrixGame matrices(game, cells.first_cell, cells.headings(), executor);
  const std::uint64_t budget = 25 * game.size();
  const nash_swarm::Allocation allocation = nash_swarm::allocate(matrices.game(), budget);
  const nash_swarm::Certificate certificate = nash_swarm::certify(
      matrices.game(), allocation.strategy, budget, allocation.price, allocation.y);
  CHECK(certificate.epsilon == 0);
  CHECK(certificate.gap < 0.02);
  CHECK(certificate.gap > 0);
}

TEST_CASE("matrices that do not fit their cells are refused by name") {
  Random random(44);
  Cells cells = random_cells(random, 3, 3, 3);
  nash_swarm::SerialExecutor executor;
  const auto message = [&](const Cells& bad) {
    try {
      const MatrixGame matrices(bad.owned.view(), bad.first_cell, bad.headings(), executor);
    } catch (const nash_swarm::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message(cells).empty());
  Cells bad = cells;
  bad.coherent[1] = 1.5;
  CHECK(message(bad).starts_with("matrix 1: its coherent share"));
  bad = cells;
  bad.first_cell.back() += 1;
  CHECK(message(bad).starts_with("matrices: they do not cover the cells"));
  bad = cells;
  bad.first_cell[1] = bad.first_cell[2];
  CHECK_FALSE(message(bad).empty());
  bad = cells;
  bad.directions.pop_back();
  CHECK(message(bad).starts_with("headings: they do not fit 3 matrices"));
}
