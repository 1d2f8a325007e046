#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/price.hpp>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "random_tables.hpp"

using nash_swarm::Certificate;
using nash_swarm::certify;
using nash_swarm::verify;
using nash_swarm::test::contains;

namespace {

using Strategy = std::vector<std::uint32_t>;

Tables two_players() {
  return {{{0, 8.0}, {2, 3.0}, {4, 1.0}}, {{1, 6.0}, {3, 2.0}}};
}

}  // namespace

TEST_CASE("the figures of a small plan, by hand") {
  const Tables tables = two_players();
  // Player 0 has 2 bytes, player 1 has 1, one byte is free, a byte costs 2.
  const Certificate certificate = certify(tables.view(), Strategy{1, 0}, 4, 2.0);
  CHECK(certificate.players == 2);
  CHECK(certificate.bytes == 3);
  CHECK(certificate.budget == 4);
  CHECK(certificate.loss == 9.0);
  CHECK(certificate.price == 2.0);
  CHECK(certificate.epsilon == 0.0);  // every better strategy takes two more bytes
  CHECK(certificate.epsilon_at_price == 0.0);
  // -2 · 4 + min(8, 7, 9) + min(8, 8) = 7
  CHECK(certificate.lower_bound == doctest::Approx(7.0).epsilon(1e-14));
  CHECK(certificate.lower_bound <= 7.0);
  CHECK(certificate.gap == doctest::Approx(2.0 / 9.0));
  CHECK(certificate.y.empty());
}

TEST_CASE("epsilon counts what fits the budget, epsilon at the price what pays") {
  const Tables tables = two_players();
  const Certificate roomy = certify(tables.view(), Strategy{1, 0}, 5, 1.5);
  CHECK(roomy.epsilon == 4.0);           // player 1 to its second strategy
  CHECK(roomy.epsilon_at_price == 1.0);  // the same, less two bytes at 1.5
  const Certificate tight = certify(tables.view(), Strategy{1, 0}, 3, 0.5);
  CHECK(tight.epsilon == 0.0);
  CHECK(tight.epsilon_at_price == 3.0);
  const Certificate dear = certify(tables.view(), Strategy{2, 1}, 7, 10.0);
  CHECK(dear.epsilon == 0.0);
  CHECK(dear.epsilon_at_price == 33.0);  // player 0 gives four bytes back for a loss of 7
}

TEST_CASE("the bound holds at every price, for every plan") {
  Random random(11);
  for (int trial = 0; trial < 2000; ++trial) {
    const Tables tables = random_tables(random, 6, 4);
    const auto players = tables.view();
    Strategy plan;
    for (std::size_t player = 0; player < players.size(); ++player) {
      plan.push_back(static_cast<std::uint32_t>(below(random, players.bytes_of(player).size())));
    }
    const std::uint64_t budget = total(players, plan).bytes + below(random, 5);
    const double price = static_cast<double>(below(random, 64)) / 7;
    const Certificate certificate = certify(players, plan, budget, price);
    const double optimum = smallest_loss(players, budget);
    CHECK(certificate.lower_bound <= optimum);
    CHECK(certificate.lower_bound >= 0);
    CHECK(verify(certificate, players, plan).empty());

    double exact = -price * static_cast<double>(budget);
    for (std::size_t player = 0; player < players.size(); ++player) {
      double best = std::numeric_limits<double>::infinity();
      for (std::size_t a = 0; a < players.bytes_of(player).size(); ++a) {
        best = std::min(best, players.loss_of(player)[a] +
                                  price * static_cast<double>(players.bytes_of(player)[a]));
      }
      exact += best;
    }
    CHECK(certificate.lower_bound == doctest::Approx(std::max(0.0, exact)).epsilon(1e-9));
  }
}

TEST_CASE("the bound is rounded outward: below the exact one where sums are rounded") {
  // 0.1 is a little above a tenth, and the rounded sum of many differs from the exact product.
  Tables tables;
  for (int player = 0; player < 1000; ++player) tables.add({{1, 0.1}});
  const Certificate certificate = certify(tables.view(), Strategy(1000, 0), 1000, 1.0);
  const long double exact = 1000.0L * static_cast<long double>(0.1);
  CHECK(static_cast<long double>(certificate.lower_bound) <= exact);
  CHECK(certificate.gap > 0);
  CHECK(certificate.gap < 1e-12);
}

TEST_CASE("the bound is rounded outward where a difference of losses is rounded") {
  // Exactly, the other strategy costs 2^40 against 2^-15 + 2^30 · 2^10, so the bound is 0; rounded,
  // the two are equal and the bound would be the loss.
  const Tables tables{{{1024, 0x1p-15}, {0, 0x1p40}}};
  CHECK(certify(tables.view(), Strategy{0}, 1024, 0x1p30).lower_bound == 0);
}

TEST_CASE("losses of 0 leave no gap") {
  const Tables tables{{{1, 0.0}, {0, 0.0}}, {{2, 0.0}}};
  const Certificate certificate = certify(tables.view(), Strategy{0, 0}, 100, 0.0);
  CHECK(certificate.loss == 0);
  CHECK(certificate.lower_bound == 0);
  CHECK(certificate.gap == 0);
}

TEST_CASE("a tampered certificate fails, each field in turn") {
  Random random(12);
  const Tables tables = smooth_tables(random, 40);
  const auto players = tables.view();
  const std::uint64_t budget = nash_swarm::smallest_bytes(players) + 15003;
  const nash_swarm::Allocation allocation = nash_swarm::allocate_separable(players, budget);
  const Certificate good = certify(players, allocation.strategy, budget, allocation.price);
  REQUIRE(verify(good, players, allocation.strategy).empty());
  REQUIRE(good.bytes < good.budget);

  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  struct Change {
    std::string field;
    std::function<void(Certificate&)> apply;
  };
  const std::vector<Change> changes{
      {"players", [](Certificate& c) { ++c.players; }},
      {"epsilon", [](Certificate& c) { c.epsilon = 1e-300; }},
      {"epsilon", [](Certificate& c) { c.epsilon = nan; }},
      {"epsilon_at_price", [](Certificate& c) { c.epsilon_at_price += 1; }},
      {"bytes", [](Certificate& c) { --c.bytes; }},
      {"lower_bound", [](Certificate& c) { ++c.budget; }},
      {"budget", [](Certificate& c) { c.budget = c.bytes - 1; }},
      {"loss", [](Certificate& c) { c.loss = std::nextafter(c.loss, 0); }},
      {"loss", [](Certificate& c) { c.loss = nan; }},
      {"lower_bound", [](Certificate& c) { c.lower_bound = std::nextafter(c.lower_bound, 1e9); }},
      {"gap", [](Certificate& c) { c.gap = 0; }},
      {"lower_bound", [](Certificate& c) { c.price *= 1.0001; }},
      {"price", [](Certificate& c) { c.price = -1; }},
      {"price", [](Certificate& c) { c.price = nan; }},
      {"y", [](Certificate& c) { c.y.push_back(0); }},
  };
  for (const Change& change : changes) {
    Certificate tampered = good;
    change.apply(tampered);
    const std::string wrong = verify(tampered, players, allocation.strategy);
    CAPTURE(change.field);
    CAPTURE(wrong);
    CHECK(contains(wrong, change.field));
  }
}

TEST_CASE("a tampered plan fails, each player in turn") {
  Random random(13);
  const Tables tables = smooth_tables(random, 40);
  const auto players = tables.view();
  const std::uint64_t budget = nash_swarm::smallest_bytes(players) + 15003;
  const nash_swarm::Allocation allocation = nash_swarm::allocate_separable(players, budget);
  const Certificate good = certify(players, allocation.strategy, budget, allocation.price);
  for (std::size_t player = 0; player < players.size(); ++player) {
    Strategy plan = allocation.strategy;
    plan[player] = (plan[player] + 1) % 8;
    CHECK(!verify(good, players, plan).empty());
    plan[player] = 8;
    CHECK(contains(verify(good, players, plan),
                   "player " + std::to_string(player) + " has no strategy 8 among its 8"));
  }
  Strategy plan = allocation.strategy;
  plan.pop_back();
  CHECK(contains(verify(good, players, plan), "39 strategies for 40 players"));
}

TEST_CASE("what cannot be certified is refused") {
  const Tables tables = two_players();
  CHECK_THROWS_WITH_AS(certify(tables.view(), Strategy{2, 1}, 6, 1.0),
                       "plan: it takes 7 bytes, more than the budget of 6", nash_swarm::Error);
  CHECK_THROWS_AS(certify(tables.view(), Strategy{2, 2}, 9, 1.0), nash_swarm::Error);
  CHECK_THROWS_AS(certify(tables.view(), Strategy{2}, 9, 1.0), nash_swarm::Error);
  CHECK_THROWS_AS(certify(tables.view(), Strategy{2, 1}, 9, std::nan("")), nash_swarm::Error);
  Tables bad = tables;
  bad.loss[1] = std::nan("");
  CHECK_THROWS_AS(certify(bad.view(), Strategy{0, 0}, 9, 1.0), nash_swarm::Error);
}

TEST_CASE("a price beyond any use still gives a valid bound") {
  const Tables tables = two_players();
  const Certificate certificate =
      certify(tables.view(), Strategy{1, 0}, 4, std::numeric_limits<double>::max());
  CHECK(certificate.lower_bound == 0);
  CHECK(certificate.gap == 1);
  CHECK(verify(certificate, tables.view(), Strategy{1, 0}).empty());
}

TEST_CASE("where the bound is no number it proves nothing") {
  constexpr double largest = std::numeric_limits<double>::max();
  const std::vector<std::size_t> first{0, 2, 4};
  const std::vector<std::uint64_t> bytes{2, 4, 3, 3};
  const std::vector<double> loss{1, .5, 1, .25};
  const std::vector<double> headings{1, .5, -1, .25};
  const std::vector<std::uint64_t> time{1, 2, 3, 4};
  const nash_swarm::Players players{first, bytes, loss};
  const nash_swarm::Game coupled(players, nash_swarm::Headings{1, headings, {}});
  const nash_swarm::Game timed(players, {}, {}, {}, {time, 100});
  for (const Certificate& certificate :
       {certify(coupled, Strategy{0, 0}, 5, largest, std::vector<double>{.1}),
        certify(timed, Strategy{0, 0}, 5, .1, {}, largest)}) {
    CHECK(certificate.loss > 0);
    CHECK(certificate.lower_bound == 0);
    CHECK(certificate.gap == 1);
  }
}
