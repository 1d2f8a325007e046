#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/price.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "random_tables.hpp"

using nash_swarm::allocate_separable;
using nash_swarm::Allocation;
using nash_swarm::Certificate;

namespace {

std::uint64_t random_budget(Random& random, const nash_swarm::Players& players) {
  const std::uint64_t smallest = nash_swarm::smallest_bytes(players);
  return smallest + below(random, nash_swarm::largest_bytes(players) - smallest + 2);
}

Certificate certificate_of(const nash_swarm::Players& players, const Allocation& allocation,
                           std::uint64_t budget) {
  return nash_swarm::certify(players, allocation.strategy, budget, allocation.price);
}

}  // namespace

TEST_CASE("small games: the bound, the optimum and the allocation are in order") {
  Random random(2);
  int optimal = 0;
  constexpr int trials = 3000;
  for (int trial = 0; trial < trials; ++trial) {
    const Tables tables = random_tables(random, 8, 5);
    const auto players = tables.view();
    const std::uint64_t budget = random_budget(random, players);
    const Allocation allocation = allocate_separable(players, budget);
    const Certificate certificate = certificate_of(players, allocation, budget);
    const double optimum = smallest_loss(players, budget);
    CAPTURE(trial);
    CHECK(certificate.bytes <= budget);
    CHECK(certificate.lower_bound <= optimum);
    CHECK(optimum <= certificate.loss);
    CHECK(certificate.epsilon == 0);
    CHECK(certificate.gap >= 0);
    CHECK(certificate.loss * (1 - certificate.gap) ==
          doctest::Approx(certificate.lower_bound).epsilon(1e-12));
    optimal += certificate.loss == optimum;
  }
  MESSAGE("optimal in ", optimal, " of ", trials);
  CHECK(optimal > trials * 9 / 10);
}

TEST_CASE("the allocation is optimal where its bytes hit a break point of the hulls") {
  Random random(3);
  for (int trial = 0; trial < 500; ++trial) {
    const Tables tables = random_tables(random, 8, 5);
    const auto players = tables.view();
    const Allocation somewhere =
        nash_swarm::allocate_at_price(players, random_budget(random, players));
    const std::uint64_t budget = total(players, somewhere.strategy).bytes;
    const Allocation allocation = allocate_separable(players, budget);
    const Certificate certificate = certificate_of(players, allocation, budget);
    CHECK(certificate.loss == smallest_loss(players, budget));
    CHECK(certificate.gap < 1e-12);
  }
}

TEST_CASE("at the price every player has its best response") {
  Random random(4);
  for (int trial = 0; trial < 200; ++trial) {
    const Tables tables = smooth_tables(random, 1 + below(random, 50));
    const auto players = tables.view();
    const std::uint64_t budget = random_budget(random, players);
    const Allocation allocation = nash_swarm::allocate_at_price(players, budget);
    const Certificate certificate = certificate_of(players, allocation, budget);
    CHECK(certificate.epsilon_at_price <= 1e-12 * certificate.loss);
  }
}

TEST_CASE("larger games: epsilon is 0, the gap is small, more bytes do not hurt") {
  Random random(5);
  const Tables tables = smooth_tables(random, 500);
  const auto players = tables.view();
  double smaller_budgets_loss = std::numeric_limits<double>::infinity();
  double bound = std::numeric_limits<double>::infinity();
  for (std::uint64_t budget = nash_swarm::smallest_bytes(players);
       budget < nash_swarm::largest_bytes(players) + 5000; budget += 9973) {
    const Allocation allocation = allocate_separable(players, budget);
    const Certificate certificate = certificate_of(players, allocation, budget);
    CHECK(certificate.epsilon == 0);
    CHECK(certificate.gap < 5e-3);  // one step of one player is as much at this size
    CHECK(certificate.loss * (1 - certificate.gap) <= smaller_budgets_loss * (1 + 1e-12));
    CHECK(certificate.lower_bound <= bound);
    smaller_budgets_loss = certificate.loss;
    bound = certificate.lower_bound;
  }
}

TEST_CASE("no swap of two moves within a small game helps") {
  Random random(6);
  for (int trial = 0; trial < 300; ++trial) {
    const Tables tables = random_tables(random, 8, 5);
    const auto players = tables.view();
    const std::uint64_t budget = random_budget(random, players);
    std::vector<std::uint32_t> strategy = allocate_separable(players, budget).strategy;
    const double loss = total(players, strategy).loss;
    for (std::size_t i = 0; i < players.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        std::vector<std::uint32_t> swapped = strategy;
        for (swapped[i] = 0; swapped[i] < players.bytes_of(i).size(); ++swapped[i]) {
          for (swapped[j] = 0; swapped[j] < players.bytes_of(j).size(); ++swapped[j]) {
            const Total other = total(players, swapped);
            CHECK((other.bytes > budget || other.loss >= loss));
          }
        }
      }
    }
  }
}

TEST_CASE("a swap is found where no single move helps") {
  // The greedy walk gives player 0 its step and stops; player 1 would make more of the bytes.
  const Tables tables{{{0, 10.0}, {6, 0.0}}, {{0, 16.0}, {10, 0.0}}};
  const Allocation at_price = nash_swarm::allocate_at_price(tables.view(), 10);
  CHECK(at_price.strategy == std::vector<std::uint32_t>{1, 0});
  CHECK(allocate_separable(tables.view(), 10).strategy == std::vector<std::uint32_t>{0, 1});
}

TEST_CASE("a swap takes the best partner even where the giver itself would gain most") {
  const Tables tables{{{0, 9.0}, {2, 6.0}, {3, 0.0}}, {{0, 5.0}, {1, 0.0}}, {{0, 1.0}, {2, 0.0}}};
  std::vector<std::uint32_t> strategy{1, 0, 0};
  nash_swarm::improve(tables.view(), 2, 1.0, strategy);
  CHECK(strategy == std::vector<std::uint32_t>{0, 1, 0});
}

TEST_CASE("the walk takes a step that just fits and stops at the next one") {
  const Tables tables{{{0, 2.0}, {2, 0.0}}, {{0, 2.0}, {2, 0.0}}, {{0, 1.0}, {2, 0.0}}};
  const Allocation one = nash_swarm::allocate_at_price(tables.view(), 3);
  CHECK(one.strategy == std::vector<std::uint32_t>{1, 0, 0});
  CHECK(one.price == 1.0);
  const Allocation two = nash_swarm::allocate_at_price(tables.view(), 4);
  CHECK(two.strategy == std::vector<std::uint32_t>{1, 1, 0});
  CHECK(two.price == 0.5);
  const Allocation just_one = nash_swarm::allocate_at_price(tables.view(), 2);
  CHECK(just_one.strategy == std::vector<std::uint32_t>{1, 0, 0});
}

TEST_CASE("free bytes go to strategies that are on no hull, too") {
  const Tables tables{{{0, 10.0}, {5, 7.0}, {10, 0.0}}};
  CHECK(nash_swarm::allocate_at_price(tables.view(), 9).strategy[0] == 0);
  CHECK(allocate_separable(tables.view(), 9).strategy[0] == 1);
}

TEST_CASE("single moves improve any plan, dominated strategies included") {
  const Tables tables{{{5, 9.0}, {3, 8.0}}, {{0, 4.0}, {2, 1.0}}};
  std::vector<std::uint32_t> strategy{0, 0};
  nash_swarm::improve(tables.view(), 5, 1.0, strategy);
  CHECK(strategy == std::vector<std::uint32_t>{1, 1});
}

TEST_CASE("permuting the players permutes the plan") {
  Random random(7);
  const Tables tables = smooth_tables(random, 200);
  const std::uint64_t budget = nash_swarm::smallest_bytes(tables.view()) + 70001;
  const Allocation allocation = allocate_separable(tables.view(), budget);

  std::vector<std::size_t> order(200);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  Tables permuted;
  for (const std::size_t player : order) permuted.add(tables.player(player));
  const Allocation other = allocate_separable(permuted.view(), budget);
  CHECK(other.price == allocation.price);
  for (std::size_t player = 0; player < order.size(); ++player) {
    CHECK(other.strategy[player] == allocation.strategy[order[player]]);
  }
}

TEST_CASE("permuting the strategies of a player permutes its choice") {
  Random random(8);
  const Tables tables = smooth_tables(random, 100);
  const std::uint64_t budget = nash_swarm::smallest_bytes(tables.view()) + 33333;
  Tables reversed;
  for (std::size_t player = 0; player < 100; ++player) {
    auto strategies = tables.player(player);
    std::ranges::reverse(strategies);
    reversed.add(strategies);
  }
  const Allocation allocation = allocate_separable(tables.view(), budget);
  const Allocation other = allocate_separable(reversed.view(), budget);
  for (std::size_t player = 0; player < 100; ++player) {
    CHECK(other.strategy[player] == 7 - allocation.strategy[player]);
  }
}

TEST_CASE("scaling the losses by a power of two leaves the plan unchanged") {
  Random random(9);
  const Tables tables = smooth_tables(random, 300);
  const std::uint64_t budget = nash_swarm::smallest_bytes(tables.view()) + 99999;
  const Allocation allocation = allocate_separable(tables.view(), budget);
  for (const int exponent : {-300, -1, 1, 5, 300}) {
    Tables scaled = tables;
    for (double& loss : scaled.loss) loss = std::ldexp(loss, exponent);
    const Allocation other = allocate_separable(scaled.view(), budget);
    CHECK(other.strategy == allocation.strategy);
    CHECK(other.price == std::ldexp(allocation.price, exponent));
  }
}

TEST_CASE("ties go to the lower index") {
  const std::vector<Tables::Strategy> player{{0, 4.0}, {0, 4.0}, {2, 0.0}, {2, 0.0}};
  const Tables tables{player, player, player};
  CHECK(allocate_separable(tables.view(), 4).strategy == std::vector<std::uint32_t>{2, 2, 0});
  CHECK(allocate_separable(tables.view(), 5).strategy == std::vector<std::uint32_t>{2, 2, 0});
}

TEST_CASE("a budget below the smallest bytes names them") {
  const Tables tables{{{7, 1.0}, {9, 0.0}}, {{4, 1.0}}};
  CHECK_THROWS_WITH_AS(allocate_separable(tables.view(), 10),
                       "budget: 10 bytes are fewer than the smallest possible 11; "
                       "give at least 11 bytes",
                       nash_swarm::Error);
  CHECK(allocate_separable(tables.view(), 11).strategy == std::vector<std::uint32_t>{0, 0});
}

TEST_CASE("a budget above the largest bytes gives everyone the lowest loss for nothing") {
  const Tables tables{{{7, 1.0}, {9, 0.0}, {8, 0.5}, {12, 0.0}}, {{4, 1.0}, {1, 2.0}}};
  for (const std::uint64_t budget :
       {std::uint64_t{13}, std::uint64_t{1000}, std::numeric_limits<std::uint64_t>::max()}) {
    const Allocation allocation = allocate_separable(tables.view(), budget);
    CHECK(allocation.strategy == std::vector<std::uint32_t>{1, 0});
    CHECK(allocation.price == 0);
    CHECK(certificate_of(tables.view(), allocation, budget).gap < 1e-12);
  }
}

TEST_CASE("extreme tables: sums near 2^64, losses near the ends of the range of a double") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  constexpr double tiny = std::numeric_limits<double>::denorm_min();
  const Tables tables{{{0, 1e307}, {most / 2, 1e-307}, {most / 2 + 1, 0.0}},
                      {{1, tiny}, {most / 2, 0.0}, {3, tiny}},
                      {{0, 1.0}}};
  for (const std::uint64_t budget : {std::uint64_t{1}, most / 2, most / 2 + 1, most - 1, most}) {
    const Allocation allocation = allocate_separable(tables.view(), budget);
    const Certificate certificate = certificate_of(tables.view(), allocation, budget);
    CHECK(certificate.bytes <= budget);
    CHECK(certificate.epsilon == 0);
    CHECK(certificate.lower_bound <= smallest_loss(tables.view(), budget));
  }
}

TEST_CASE("a game without players has an empty plan") {
  const Tables tables;
  const Allocation allocation = allocate_separable(tables.view(), 5);
  CHECK(allocation.strategy.empty());
  CHECK(certificate_of(tables.view(), allocation, 5).gap == 0);
}

TEST_CASE("bad tables are refused by the allocation") {
  Tables tables{{{1, 1.0}}};
  tables.loss[0] = -1;
  CHECK_THROWS_AS(allocate_separable(tables.view(), 5), nash_swarm::Error);
}
