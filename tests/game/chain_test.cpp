#include <nash_swarm/game/chain.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <nash_swarm/game/cheapest_plan.hpp>
#include <nash_swarm/game/potential.hpp>

#include "game/random_games.hpp"
#include "game/random_tables.hpp"

using nash_swarm::Allocation;
using nash_swarm::Edge;
using nash_swarm::Game;

namespace {

using Strategy = std::vector<std::uint32_t>;

/// A chain game that owns its memory; about every third pair of neighbours has no edge.
struct ChainGame {
  Tables tables;
  std::vector<Edge> edges;
  std::vector<std::uint32_t> format;

  Game game() const { return Game(tables.view(), {}, edges, format); }
};

ChainGame random_chains(Random& random, Tables tables, bool with_formats) {
  ChainGame chains;
  chains.tables = std::move(tables);
  const std::size_t players = chains.tables.first.size() - 1;
  for (std::size_t player = 0; player + 1 < players; ++player) {
    if (below(random, 3) != 0) chains.edges.push_back({player, player + 1, below(random, 8)});
  }
  if (with_formats) {
    for (std::size_t s = 0; s < chains.tables.bytes.size(); ++s) {
      chains.format.push_back(static_cast<std::uint32_t>(below(random, 3)));
    }
  }
  return chains;
}

/// Of the plans that start every search.
std::uint64_t smallest_bytes(const Game& game) {
  return nash_swarm::totals(game, nash_swarm::detail::cheapest_plan(game)).bytes;
}

/// The largest fall of the loss by a move of one player within the budget, from scratch.
double epsilon(const Game& game, Strategy plan, std::uint64_t budget) {
  const double own = nash_swarm::totals(game, plan).loss;
  double largest = 0;
  for (std::size_t player = 0; player < game.size(); ++player) {
    const std::uint32_t kept = plan[player];
    for (std::uint32_t a = 0; a < game.players.bytes_of(player).size(); ++a) {
      plan[player] = a;
      const auto sum = nash_swarm::totals(game, plan);
      if (sum.bytes <= budget) largest = std::max(largest, own - sum.loss);
    }
    plan[player] = kept;
  }
  return largest;
}

}  // namespace

TEST_CASE("chain: the plan at a price is the cheapest of all plans") {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    const ChainGame chains = random_chains(random, random_tables(random, 6, 4), round % 2 == 0);
    const Game game = chains.game();
    REQUIRE(is_chain(game));
    const double price = static_cast<double>(below(random, 64)) / 16;
    const auto plan =
        nash_swarm::detail::solve_chains(game, nash_swarm::detail::CostAtPrice{price});
    const auto cost = [&](const Strategy& strategy) {  // exact: small multiples of 2^-6
      const auto sum = nash_swarm::totals(game, strategy);
      return sum.loss + price * static_cast<double>(sum.bytes);
    };
    double cheapest = std::numeric_limits<double>::infinity();
    std::uint64_t fewest = std::numeric_limits<std::uint64_t>::max();
    for_each_plan(game, [&](const Strategy& strategy) {
      cheapest = std::min(cheapest, cost(strategy));
      fewest = std::min(fewest, nash_swarm::totals(game, strategy).bytes);
    });
    CHECK(cost(plan.strategy) == cheapest);
    CHECK(plan.bytes == nash_swarm::totals(game, plan.strategy).bytes);
    CHECK(smallest_bytes(game) == fewest);
  }
}

TEST_CASE("chain: bytes fall as the price rises") {
  Random random(2);
  const ChainGame chains = random_chains(random, smooth_tables(random, 500), false);
  std::uint64_t previous = std::numeric_limits<std::uint64_t>::max();
  for (double price = 1e-6; price < 1e6; price *= 3) {
    const std::uint64_t bytes =
        nash_swarm::detail::solve_chains(chains.game(), nash_swarm::detail::CostAtPrice{price})
            .bytes;
    CHECK(bytes <= previous);
    previous = bytes;
  }
  CHECK(previous < 500 * 16);
}

TEST_CASE("chain: the budget is kept, no feasible move of one player helps, mostly the optimum") {
  Random random(3);
  int optimal = 0;
  int games = 0;
  for (int round = 0; round < 400; ++round) {
    const ChainGame chains = random_chains(random, random_tables(random, 6, 4), round % 2 == 0);
    const Game game = chains.game();
    const std::uint64_t smallest = smallest_bytes(game);
    const std::uint64_t budget = smallest + below(random, 80);
    const Allocation allocation = allocate_chains(game, budget);
    const auto sum = nash_swarm::totals(game, allocation.strategy);
    CHECK(sum.bytes <= budget);
    CHECK(epsilon(game, allocation.strategy, budget) == 0);
    CHECK(std::isfinite(allocation.price));
    CHECK(allocation.price >= 0);
    CHECK(allocate_chains(game, budget).strategy == allocation.strategy);
    double lowest = std::numeric_limits<double>::infinity();
    for_each_plan(game, [&](const Strategy& strategy) {
      const auto other = nash_swarm::totals(game, strategy);
      if (other.bytes <= budget) lowest = std::min(lowest, other.loss);
    });
    CHECK(sum.loss >= lowest);
    optimal += sum.loss == lowest;
    ++games;
  }
  CHECK(optimal > games / 2);
}

TEST_CASE("chain: near the bound on larger games") {
  Random random(4);
  const ChainGame chains = random_chains(random, smooth_tables(random, 3000), false);
  const Game game = chains.game();
  for (const std::uint64_t bits : {1u, 2u, 3u, 5u}) {
    const std::uint64_t budget = 3000 * (128 * bits + 10);
    const Allocation allocation = allocate_chains(game, budget);
    const auto sum = nash_swarm::totals(game, allocation.strategy);
    CHECK(sum.bytes <= budget);
    CHECK(epsilon(Game(game), allocation.strategy, budget) == 0);
    const auto best = nash_swarm::totals(
        game,
        nash_swarm::detail::solve_chains(game, nash_swarm::detail::CostAtPrice{allocation.price})
            .strategy);
    const double bound = best.loss + allocation.price * (static_cast<double>(best.bytes) -
                                                         static_cast<double>(budget));
    CHECK(sum.loss >= bound * (1 - 1e-12));
    CHECK(sum.loss <= bound * 1.001);
  }
}

TEST_CASE("chain: without edges the price is that of the separable game") {
  Random random(5);
  for (int round = 0; round < 50; ++round) {
    const Tables tables = smooth_tables(random, 400);
    const std::uint64_t budget = 400 * (64 + below(random, 900));
    const Allocation expected = allocate_at_price(tables.view(), budget);
    const Allocation allocation = allocate_chains(tables.view(), budget);
    CHECK(allocation.price == doctest::Approx(expected.price).epsilon(0.02));
    const auto at_price = nash_swarm::detail::solve_chains(
        Game(tables.view()), nash_swarm::detail::CostAtPrice{expected.price});
    // The break step itself is a tie at this price.
    std::size_t different = 0;
    for (std::size_t i = 0; i < 400; ++i) {
      different += at_price.strategy[i] != expected.strategy[i];
    }
    CHECK(different <= 1);
    CHECK(total(tables.view(), allocation.strategy).loss <=
          total(tables.view(), expected.strategy).loss);
  }
}

TEST_CASE("chain: an edge is paid only where it is worth its bytes") {
  // The middle player would save 10 bytes alone, which two edges of 6 bytes eat up.
  const Tables tables{{{20, 0}, {10, 1}}, {{20, 0}, {10, 0}}, {{20, 0}, {10, 1}}};
  const std::vector<Edge> edges = {{0, 1, 6}, {1, 2, 6}};
  const Game game(tables.view(), {}, edges);
  CHECK(allocate_chains(game, 60).strategy == Strategy{0, 0, 0});
  CHECK(allocate_chains(game, 62).strategy[0] == 0);
  const std::vector<Edge> cheap = {{0, 1, 2}, {1, 2, 2}};
  const Game other(tables.view(), {}, cheap);
  CHECK(allocate_chains(other, 54).strategy == Strategy{0, 1, 0});
}

TEST_CASE("chain: what is no chain and budgets that are too small are refused") {
  const Tables tables{{{1, 1}, {2, 0}}, {{1, 1}, {2, 0}}, {{1, 1}, {2, 0}}};
  const auto chain = [&](const std::vector<Edge>& edges) {
    return is_chain(Game(tables.view(), {}, edges));
  };
  CHECK(chain({}));
  CHECK(chain({{0, 1, 2}, {1, 2, 2}}));
  CHECK(chain({{1, 2, 2}}));
  CHECK_FALSE(chain({{0, 2, 2}}));
  CHECK_FALSE(chain({{1, 0, 2}}));
  CHECK_FALSE(chain({{1, 2, 2}, {0, 1, 2}}));
  CHECK_FALSE(chain({{0, 1, 2}, {0, 1, 2}}));
  const std::vector<Edge> skipping = {{0, 2, 2}};
  CHECK_THROWS_AS(allocate_chains(Game(tables.view(), {}, skipping), 9), nash_swarm::Error);
  CHECK_THROWS_WITH_AS(allocate_chains(tables.view(), 2),
                       "budget: 2 bytes are fewer than the smallest possible 3; give at least 3 "
                       "bytes",
                       nash_swarm::Error);
}
