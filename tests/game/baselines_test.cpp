#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <nash_swarm/game/baselines.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/exact.hpp>
#include <string>
#include <vector>

#include "random_games.hpp"

using nash_swarm::Allocation;
using nash_swarm::Error;
using nash_swarm::Game;
using nash_swarm::Method;
using nash_swarm::methods;
using nash_swarm::Totals;
using nash_swarm::totals;

namespace {

double loss_of(const Game& game, const Allocation& allocation) {
  return totals(game, allocation.strategy).loss;
}

std::uint64_t random_budget(Random& random, const Game& game) {
  const std::uint64_t least = totals(game, nash_swarm::detail::cheapest_plan(game)).bytes;
  return least + below(random, nash_swarm::largest_bytes(game.players) + 1);
}

template <class Call>
std::string message(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("every method keeps to the budget, repeats itself and does not beat the optimum") {
  Random random(11);
  for (const Coupling coupling : {Coupling::none, Coupling::vectors, Coupling::directions}) {
    for (const bool edges : {false, true}) {
      for (int instance = 0; instance < 12; ++instance) {
        const OwnedGame owned = random_game(random, 5, 4, coupling, edges);
        const Game game = owned.view();
        const std::uint64_t budget = random_budget(random, game);
        const double best = smallest_loss_of_all(game, budget);
        for (const Method& method : methods) {
          CAPTURE(method.name);
          const Allocation allocation = method.allocate(game, budget, 7);
          REQUIRE(allocation.strategy.size() == game.size());
          const Totals sum = totals(game, allocation.strategy);
          CHECK(sum.bytes <= budget);
          CHECK(sum.loss >= best - 1e-12 * best);
          CHECK(sum.y == allocation.y);
          CHECK(method.allocate(game, budget, 7).strategy == allocation.strategy);
        }
      }
    }
  }
}

TEST_CASE("exhaustive search and dynamic programming find the optimum where they must") {
  Random random(12);
  for (int instance = 0; instance < 200; ++instance) {
    const OwnedGame separable = random_game(random, 5, 4, Coupling::none, false);
    const OwnedGame coupled = random_game(random, 5, 4, Coupling::vectors, true);
    const std::uint64_t budget = random_budget(random, separable.view());
    const double best = smallest_loss_of_all(separable.view(), budget);
    using nash_swarm::dynamic_programming_allocation;
    CHECK(loss_of(separable.view(), dynamic_programming_allocation(separable.view(), budget)) ==
          best);
    const std::uint64_t enough = random_budget(random, coupled.view());
    CHECK(loss_of(coupled.view(), nash_swarm::exhaustive_allocation(coupled.view(), enough)) ==
          doctest::Approx(smallest_loss_of_all(coupled.view(), enough)).epsilon(1e-12));
  }
}

TEST_CASE("a budget below the cheapest plan is refused with the bytes that it takes") {
  const Tables tables{{{3, 1.0}, {5, 0.0}}, {{4, 1.0}, {6, 0.5}}};
  const std::vector<nash_swarm::Edge> edges{{0, 1, 10}};
  const std::vector<std::uint32_t> formats{0, 1, 1, 2};
  const Game with_edges(tables.view(), {}, edges, formats);  // equal formats: 5 + 4
  for (const Method& method : methods) {
    CAPTURE(method.name);
    CHECK(message([&] { method.allocate(tables.view(), 6, 0); }).find("at least 7 bytes") !=
          std::string::npos);
    CHECK(message([&] { method.allocate(with_edges, 8, 0); }).find("at least 9 bytes") !=
          std::string::npos);
    CHECK(method.allocate(tables.view(), 7, 0).strategy == std::vector<std::uint32_t>{0, 0});
    CHECK(method.allocate(with_edges, 9, 0).strategy == std::vector<std::uint32_t>{1, 0});
  }
}

TEST_CASE("bad tables and time limits are refused by every method") {
  Tables tables{{{3, 1.0}, {5, 0.0}}};
  const std::vector<std::uint64_t> time{1, 2};
  const Game timed(tables.view(), {}, {}, {}, {time, 2});
  Tables bad = tables;
  bad.loss[0] = -1;
  for (const Method& method : methods) {
    CAPTURE(method.name);
    CHECK_THROWS_AS(method.allocate(bad.view(), 9, 0), Error);
    CHECK_THROWS_AS(method.allocate(timed, 9, 0), Error);
    CHECK(method.allocate(Tables().view(), 0, 0).strategy.empty());
  }
}

TEST_CASE("games too large for a method are refused") {
  Tables tables;
  for (int player = 0; player < 24; ++player) tables.add({{0, 1.0}, {1, 0.0}});
  CHECK_THROWS_AS(nash_swarm::exhaustive_allocation(tables.view(), 9), Error);
  const Tables wide{{{0, 1.0}, {std::uint64_t{1} << 40, 0.5}, {1, 0.75}}};
  CHECK_THROWS_AS(nash_swarm::dynamic_programming_allocation(wide.view(), std::uint64_t{1} << 40),
                  Error);
}

TEST_CASE("uniform takes the best index that fits everybody") {
  const Tables tables{{{1, 8.0}, {2, 4.0}, {3, 2.0}}, {{1, 8.0}, {2, 4.0}}, {{1, 8.0}, {4, 0.0}}};
  const auto plan = [&](std::uint64_t budget) {
    return nash_swarm::uniform_allocation(tables.view(), budget).strategy;
  };
  CHECK(plan(7) == std::vector<std::uint32_t>{0, 0, 0});
  CHECK(plan(8) == std::vector<std::uint32_t>{1, 1, 1});
  CHECK(plan(9) == std::vector<std::uint32_t>{2, 1, 1});
}

TEST_CASE("greedy takes the best gain per byte and stops when nothing fits") {
  const Tables tables{{{0, 10.0}, {4, 2.0}}, {{0, 9.0}, {3, 0.0}}, {{0, 1.0}, {1, 0.5}}};
  const auto plan = [&](std::uint64_t budget) {
    return nash_swarm::greedy_allocation(tables.view(), budget).strategy;
  };
  CHECK(plan(4) == std::vector<std::uint32_t>{0, 1, 1});
  CHECK(plan(7) == std::vector<std::uint32_t>{1, 1, 0});
  CHECK(plan(8) == std::vector<std::uint32_t>{1, 1, 1});
}

TEST_CASE("greedy and best responses end where no player improves") {
  Random random(13);
  for (int instance = 0; instance < 60; ++instance) {
    const OwnedGame owned = instance % 2 == 0 ? smooth_game(random, 20, 3, 0.1)
                                              : random_game(random, 8, 5, Coupling::none, true);
    const std::uint64_t budget = random_budget(random, owned.view());
    for (const auto allocate :
         {nash_swarm::greedy_allocation, nash_swarm::best_response_allocation}) {
      const Allocation allocation = allocate(owned.view(), budget, 0);
      const auto certificate = nash_swarm::certify(owned.view(), allocation.strategy, budget, 0, allocation.y);
      CHECK(certificate.epsilon <= 1e-12 * certificate.loss);
    }
  }
}

TEST_CASE("plain Lagrangian responds to the price as if every player were alone") {
  Random random(14);
  const OwnedGame owned = smooth_game(random, 50, 4, 0.3);
  Tables alone = owned.tables;
  const Game game = owned.view();
  for (std::size_t player = 0; player < game.size(); ++player) {
    const auto direction = game.direction(player, 0);
    const double square = nash_swarm::detail::dot(direction, direction);
    for (std::size_t s = alone.first[player]; s < alone.first[player + 1]; ++s) {
      alone.loss[s] += 0.5 * square * owned.magnitudes[s] * owned.magnitudes[s];
    }
  }
  const Allocation plain = nash_swarm::lagrangian_allocation(game, 20000);
  CHECK(plain.strategy == nash_swarm::allocate_at_price(alone.view(), 20000).strategy);
}

TEST_CASE("annealing and the particle swarm improve on the uniform plan") {
  Random random(15);
  for (int instance = 0; instance < 5; ++instance) {
    const OwnedGame owned = smooth_game(random, 30, 3, 0.1);
    const Game game = owned.view();
    const std::uint64_t budget = 128 * 30 * 4;
    const double uniform = loss_of(game, nash_swarm::uniform_allocation(game, budget));
    CHECK(loss_of(game, nash_swarm::annealing_allocation(game, budget, 1)) < 0.9 * uniform);
    CHECK(loss_of(game, nash_swarm::particle_swarm_allocation(game, budget, 1)) < uniform);
    CHECK(nash_swarm::annealing_allocation(game, budget, 1).strategy !=
          nash_swarm::annealing_allocation(game, budget, 2).strategy);
  }
}
