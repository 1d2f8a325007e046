#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/exact.hpp>
#include <string>
#include <vector>

#include "random_games.hpp"

using nash_swarm::allocate_exactly;
using nash_swarm::Allocation;
using nash_swarm::Error;
using nash_swarm::Game;
using nash_swarm::Totals;
using nash_swarm::totals;

namespace {

std::uint64_t all_bytes(const Game& game) {
  std::uint64_t bytes = nash_swarm::largest_bytes(game.players);
  for (const nash_swarm::Edge& edge : game.edges) bytes += edge.bytes;
  return bytes;
}

/// The plan is optimal and its dual point proves a bound that does not exceed it; an Error if no
/// plan fits.
void check_optimum(const Game& game, std::uint64_t budget, double price = 0,
                   const std::vector<double>& y = {}) {
  const double best = smallest_loss_of_all(game, budget);
  if (best == std::numeric_limits<double>::infinity()) {
    CHECK_THROWS_AS(allocate_exactly(game, budget, price, y), Error);
    return;
  }
  const Allocation exact = allocate_exactly(game, budget, price, y);
  const Totals sum = totals(game, exact.strategy);
  CHECK(sum.bytes <= budget);
  CHECK(sum.loss >= best - 1e-12 * best);
  CHECK(sum.loss <= best + 1e-12 * best);
  const auto certificate = nash_swarm::certify(game, exact.strategy, budget, exact.price, exact.y);
  CHECK(certificate.lower_bound <= best + 1e-12 * best);
}

std::string message(const Game& game, std::uint64_t budget) {
  try {
    allocate_exactly(game, budget);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("the exact search finds the optimum of random games of every kind") {
  Random random(1);
  for (const Coupling coupling : {Coupling::none, Coupling::vectors, Coupling::directions}) {
    for (const bool edges : {false, true}) {
      for (int instance = 0; instance < 700; ++instance) {
        const OwnedGame game = random_game(random, 5, 4, coupling, edges);
        check_optimum(game.view(), below(random, all_bytes(game.view()) + 2));
      }
    }
  }
}

TEST_CASE("the exact search finds the optimum of a budget without room") {
  Random random(2);
  for (int instance = 0; instance < 300; ++instance) {
    const OwnedGame game = random_game(random, 5, 4, Coupling::vectors, instance % 2 == 0);
    const std::uint64_t smallest = nash_swarm::smallest_bytes(game.tables.view());
    check_optimum(game.view(), smallest + below(random, 4));
  }
}

TEST_CASE("the exact search finds the optimum of games that look like a model") {
  Random random(3);
  for (int instance = 0; instance < 12; ++instance) {
    const OwnedGame game = smooth_game(random, 4, 3, 0.1 * static_cast<double>(instance % 4));
    check_optimum(game.view(), 128 * 4 * (2 + below(random, 4)));
  }
}

TEST_CASE("edges compare formats if there are any") {
  Random random(4);
  for (int instance = 0; instance < 300; ++instance) {
    OwnedGame game = random_game(random, 4, 4, Coupling::directions, true);
    for (std::size_t s = 0; s < game.tables.loss.size(); ++s) {
      game.formats.push_back(static_cast<std::uint32_t>(below(random, 3)));
    }
    check_optimum(game.view(), below(random, all_bytes(game.view()) + 1));
  }
}

TEST_CASE("the start of the dual point does not matter") {
  Random random(5);
  for (int instance = 0; instance < 200; ++instance) {
    const OwnedGame game = random_game(random, 4, 4, Coupling::vectors, false);
    std::vector<double> y;
    for (std::size_t k = 0; k < game.dimension; ++k) {
      y.push_back((static_cast<double>(below(random, 200)) - 100) / 4);
    }
    check_optimum(game.view(), below(random, all_bytes(game.view()) + 1),
                  static_cast<double>(below(random, 100)) / 8, y);
  }
}

TEST_CASE("equal players do not make the exact search endless") {
  Tables tables;
  for (int player = 0; player < 12; ++player) {
    tables.add({{0, 64.0}, {1, 17.0}, {2, 4.0}, {3, 1.0}, {4, 0.25}, {5, 0.0625}});
  }
  const Allocation exact = allocate_exactly(tables.view(), 31);
  // The slopes fall, so bytes are spread evenly: seven players with 3 bytes, five with 2.
  CHECK(total(tables.view(), exact.strategy).loss == 7 * 1.0 + 5 * 4.0);
}

TEST_CASE("a game without losses and one without players are solved") {
  const Tables nothing{{{3, 0.0}, {1, 0.0}}, {{2, 0.0}}};
  CHECK(total(nothing.view(), allocate_exactly(nothing.view(), 3).strategy).bytes == 3);
  const Tables nobody;
  CHECK(allocate_exactly(nobody.view(), 0).strategy.empty());
}

TEST_CASE("the exact search refuses what it cannot solve") {
  const Tables tables{{{3, 1.0}, {5, 0.0}}, {{4, 1.0}}};
  CHECK(message(tables.view(), 6).find("give at least 7 bytes") != std::string::npos);
  const std::vector<nash_swarm::Edge> edges{{0, 1, 10}};
  const std::vector<std::uint32_t> formats{0, 1, 1};
  const Game game(tables.view(), {}, edges, formats);  // equal formats: 5 + 4, unequal: 3 + 4 + 10
  CHECK(message(game, 8).find("give at least 9 bytes") != std::string::npos);
  CHECK(message(game, 9).empty());
  CHECK_THROWS_AS(allocate_exactly(tables.view(), 9, -1.0), Error);
  CHECK_THROWS_AS(allocate_exactly(tables.view(), 9, std::numeric_limits<double>::infinity()),
                  Error);
  CHECK_THROWS_AS(allocate_exactly(tables.view(), 9, 0, std::vector<double>{1.0}), Error);
}
