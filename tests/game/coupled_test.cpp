#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/certificate.hpp>

#include "random_games.hpp"
#include "support/serial.hpp"

using nash_swarm::Allocation;
using nash_swarm::Certificate;
using nash_swarm::Game;
using support::serial;

namespace {

using Strategy = std::vector<std::uint32_t>;

constexpr Coupling couplings[] = {Coupling::none, Coupling::vectors, Coupling::directions};

Strategy random_plan(Random& random, const Game& game) {
  Strategy plan;
  for (std::size_t player = 0; player < game.size(); ++player) {
    plan.push_back(static_cast<std::uint32_t>(below(random, game.players.bytes_of(player).size())));
  }
  return plan;
}

Certificate certificate_of(const Game& game, const Allocation& allocation, std::uint64_t budget) {
  return nash_swarm::certify(game, allocation.strategy, budget, allocation.price, allocation.y);
}

/// Enough for every plan, edges included.
std::uint64_t bytes_of_all(const Game& game) {
  std::uint64_t bytes = nash_swarm::largest_bytes(game.players);
  for (const nash_swarm::Edge& edge : game.edges) bytes += edge.bytes;
  return bytes;
}

}  // namespace

TEST_CASE("exact potential: a player's change of cost is the change of the potential") {
  Random random(21);
  int draws = 0;
  while (draws < 100000) {
    const OwnedGame owned =
        random_game(random, 12, 5, couplings[below(random, 3)], below(random, 2) == 0);
    const Game game = owned.view();
    const double price = static_cast<double>(below(random, 64)) / 8;
    Strategy plan = random_plan(random, game);
    std::vector<nash_swarm::detail::LossChange> changes;
    for (int move = 0; move < 50; ++move, ++draws) {
      const nash_swarm::detail::RunningPlan running(game, plan);
      const std::size_t player = below(random, game.size());
      const auto to =
          static_cast<std::uint32_t>(below(random, game.players.bytes_of(player).size()));
      running.loss_changes(player, changes);
      const double more = static_cast<double>(running.bytes_of(player, to)) -
                          static_cast<double>(running.bytes_of(player, plan[player]));
      const double cost_change = changes[to].value + price * more;
      const double before = nash_swarm::potential(game, plan, price, 1000);
      plan[player] = to;
      const double after = nash_swarm::potential(game, plan, price, 1000);
      // Every number of these games is a short binary fraction, so equality is exact.
      REQUIRE(after - before == cost_change);
    }
  }
}

TEST_CASE("best responses end where nobody has a better one, and the potential falls") {
  Random random(22);
  for (int trial = 0; trial < 300; ++trial) {
    const OwnedGame owned = random_game(random, 20, 6, couplings[trial % 3], true);
    const Game game = owned.view();
    const double price = static_cast<double>(below(random, 64)) / 16;
    const Strategy start = random_plan(random, game);
    nash_swarm::detail::RunningPlan plan(game, start);
    std::vector<std::size_t> order(game.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    nash_swarm::detail::settle(plan, price, 1e-9, order);
    CHECK(nash_swarm::potential(game, plan.strategy(), price, 0) <=
          nash_swarm::potential(game, start, price, 0));
    const Certificate certificate =
        nash_swarm::certify(game, plan.strategy(), bytes_of_all(game), price,
                            std::vector<double>(game.headings.dimension));
    CHECK(certificate.epsilon_at_price <= 1e-9);
  }
}

TEST_CASE("small coupled games: bound, optimum and allocation are in order") {
  Random random(23);
  int optimal = 0;
  constexpr int trials = 1200;
  for (int trial = 0; trial < trials; ++trial) {
    const OwnedGame owned = random_game(random, 6, 4, couplings[trial % 3], trial % 2 == 0);
    const Game game = owned.view();
    const std::uint64_t smallest = nash_swarm::smallest_bytes(game.players);
    const std::uint64_t budget = smallest + 12 + below(random, bytes_of_all(game) - smallest + 2);
    const double optimum = smallest_loss_of_all(game, budget);
    if (std::isinf(optimum)) continue;
    const Allocation allocation = nash_swarm::allocate(game, budget);
    const Certificate certificate = certificate_of(game, allocation, budget);
    CAPTURE(trial);
    CHECK(certificate.bytes <= budget);
    CHECK(certificate.lower_bound <= optimum);
    CHECK(optimum <= certificate.loss);
    CHECK(certificate.epsilon == 0);
    CHECK(nash_swarm::verify(certificate, game, allocation.strategy).empty());
    optimal += certificate.loss <= optimum * (1 + 1e-12);
  }
  CHECK(optimal >= trials * 99 / 100);
}

TEST_CASE("the coupled bound holds for every y and price") {
  Random random(24);
  for (int trial = 0; trial < 1000; ++trial) {
    const OwnedGame owned = random_game(random, 5, 4, couplings[1 + trial % 2], trial % 4 == 0);
    const Game game = owned.view();
    const Strategy plan = random_plan(random, game);
    const std::uint64_t budget = nash_swarm::totals(game, plan).bytes + below(random, 9);
    std::vector<double> y(game.headings.dimension);
    for (double& x : y) x = (static_cast<double>(below(random, 129)) - 64) / 24;
    const double price = static_cast<double>(below(random, 64)) / 24;
    const Certificate certificate = nash_swarm::certify(game, plan, budget, price, y);
    CHECK(certificate.lower_bound <= smallest_loss_of_all(game, budget));

    double exact = -price * static_cast<double>(budget);
    for (const double x : y) exact -= x * x / 2;
    for (std::size_t player = 0; player < game.size(); ++player) {
      double lowest = std::numeric_limits<double>::infinity();
      for (std::size_t a = 0; a < game.players.bytes_of(player).size(); ++a) {
        double term = game.players.loss_of(player)[a] +
                      price * static_cast<double>(game.players.bytes_of(player)[a]);
        for (std::size_t k = 0; k < y.size(); ++k) {
          term += y[k] * game.magnitude(player, a) * game.direction(player, a)[k];
        }
        lowest = std::min(lowest, term);
      }
      exact += lowest;
    }
    const double scale = 100 + std::abs(exact);
    CHECK(certificate.lower_bound ==
          doctest::Approx(std::clamp(exact, 0.0, certificate.loss)).epsilon(1e-11).scale(scale));
  }
}

TEST_CASE("coupled games like models: epsilon 0 and a small gap at every cosine") {
  Random random(25);
  for (const double cosine : {0.0, 0.05, 0.3}) {
    const OwnedGame owned = smooth_game(random, 150, 16, cosine);
    const Game game = owned.view();
    const std::uint64_t budget = 150 * 128 * 3;
    const Allocation allocation = nash_swarm::allocate(game, budget);
    const Certificate certificate = certificate_of(game, allocation, budget);
    CHECK(certificate.epsilon == 0);
    CHECK(certificate.gap < 0.01);
    CHECK(certificate.gap > 0);
  }
}

TEST_CASE("the plan of a coupled game is the same for every executor") {
  Random random(26);
  const OwnedGame owned = smooth_game(random, 60, 8, 0.1);
  const Game game = owned.view();
  const Allocation one = nash_swarm::allocate(game, 60 * 400, serial, 5);
  for (const std::size_t threads : {1u, 2u, 5u}) {
    nash_swarm::ThreadPool pool(threads);
    const Allocation other = nash_swarm::allocate(game, 60 * 400, pool, 5);
    CHECK(other.strategy == one.strategy);
    CHECK(other.price == one.price);
    CHECK(other.y == one.y);
  }
}

TEST_CASE("permuting the players of a coupled game leaves the loss equal within the gap") {
  Random random(27);
  const OwnedGame owned = smooth_game(random, 80, 8, 0.1);
  std::vector<std::size_t> order(80);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  OwnedGame permuted;
  permuted.dimension = owned.dimension;
  for (const std::size_t player : order) {
    permuted.tables.add(owned.tables.player(player));
    for (std::size_t k = 0; k < 8; ++k) {
      permuted.vectors.push_back(owned.vectors[8 * player + k]);
      permuted.magnitudes.push_back(owned.magnitudes[owned.tables.first[player] + k]);
    }
  }
  const std::uint64_t budget = 80 * 400;
  const Certificate a =
      certificate_of(owned.view(), nash_swarm::allocate(owned.view(), budget), budget);
  const Certificate b =
      certificate_of(permuted.view(), nash_swarm::allocate(permuted.view(), budget), budget);
  CHECK(std::abs(a.loss - b.loss) <= std::max(a.gap * a.loss, b.gap * b.loss));
  CHECK(a.lower_bound == doctest::Approx(b.lower_bound).epsilon(1e-4));
}

TEST_CASE("more bytes: the bound falls, the loss stays within the gap") {
  Random random(28);
  const OwnedGame owned = smooth_game(random, 60, 8, 0.1);
  double bound = std::numeric_limits<double>::infinity();
  double loss = std::numeric_limits<double>::infinity();
  for (std::uint64_t budget = 60 * 160; budget < 60 * 1000; budget += 60 * 97) {
    const Certificate certificate =
        certificate_of(owned.view(), nash_swarm::allocate(owned.view(), budget), budget);
    CHECK(certificate.lower_bound <= bound);
    CHECK(certificate.loss * (1 - certificate.gap) <= loss);
    bound = certificate.lower_bound;
    loss = certificate.loss;
  }
}

TEST_CASE("scaling losses by a power of two leaves a coupled plan unchanged") {
  Random random(29);
  const OwnedGame owned = smooth_game(random, 50, 8, 0.1);
  const Allocation allocation = nash_swarm::allocate(owned.view(), 50 * 420);
  for (const int exponent : {-20, 2, 40}) {  // even, so that vectors scale by a power of two too
    OwnedGame scaled = owned;
    for (double& loss : scaled.tables.loss) loss = std::ldexp(loss, exponent);
    for (double& magnitude : scaled.magnitudes) magnitude = std::ldexp(magnitude, exponent / 2);
    const Allocation other = nash_swarm::allocate(scaled.view(), 50 * 420);
    CHECK(other.strategy == allocation.strategy);
    CHECK(other.price == std::ldexp(allocation.price, exponent));
  }
}

TEST_CASE("a tampered coupled certificate or plan is refused, each field in turn") {
  Random random(30);
  OwnedGame owned = smooth_game(random, 20, 4, 0.2);
  owned.edges = {{0, 1, 3}, {5, 9, 2}};
  const Game game = owned.view();
  const std::uint64_t budget = 20 * 420;
  const Allocation allocation = nash_swarm::allocate(game, budget);
  const Certificate good = certificate_of(game, allocation, budget);
  REQUIRE(nash_swarm::verify(good, game, allocation.strategy).empty());
  const auto refused = [&](auto change) {
    Certificate bad = good;
    change(bad);
    return !nash_swarm::verify(bad, game, allocation.strategy).empty();
  };
  CHECK(refused([](Certificate& c) { c.players += 1; }));
  CHECK(refused([](Certificate& c) { c.epsilon = 1e-9; }));
  CHECK(refused([](Certificate& c) { c.epsilon_at_price *= 0.5; }));
  CHECK(refused([](Certificate& c) { c.bytes -= 1; }));
  CHECK(refused([](Certificate& c) { c.budget = c.bytes - 1; }));
  CHECK(refused([](Certificate& c) { c.loss = std::nextafter(c.loss, 0.0); }));
  CHECK(refused([](Certificate& c) { c.lower_bound = std::nextafter(c.lower_bound, 1e9); }));
  CHECK(refused([](Certificate& c) { c.gap *= 0.99; }));
  CHECK(refused([](Certificate& c) { c.price *= 1.01; }));
  CHECK(refused([](Certificate& c) { c.y[1] += 0.01; }));
  CHECK(refused([](Certificate& c) { c.y.pop_back(); }));
  for (std::size_t player = 0; player < game.size(); ++player) {
    Strategy other = allocation.strategy;
    other[player] = (other[player] + 1) % 8;
    CHECK_FALSE(nash_swarm::verify(good, game, other).empty());
  }
}

TEST_CASE("edges: unequal formats take bytes, formats count and not indices") {
  OwnedGame owned;
  owned.tables = Tables{{{1, 4.0}, {3, 0.0}}, {{3, 0.0}, {1, 5.0}}};
  owned.edges = {{0, 1, 2}};
  CHECK(nash_swarm::totals(owned.view(), Strategy{0, 0}).bytes == 4);
  CHECK(nash_swarm::totals(owned.view(), Strategy{1, 0}).bytes == 8);
  owned.formats = {7, 9, 9, 7};
  CHECK(nash_swarm::totals(owned.view(), Strategy{0, 0}).bytes == 6);
  CHECK(nash_swarm::totals(owned.view(), Strategy{1, 0}).bytes == 6);
  CHECK(nash_swarm::allocate(owned.view(), 6).strategy == Strategy{1, 0});
}

TEST_CASE("bad headings and edges are refused by name") {
  Random random(31);
  const OwnedGame good = smooth_game(random, 3, 2, 0.1);
  const auto message = [](const OwnedGame& game) {
    try {
      nash_swarm::check(game.view());
    } catch (const nash_swarm::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(message(good).empty());
  OwnedGame bad = good;
  bad.vectors[3] = std::numeric_limits<double>::quiet_NaN();
  CHECK(message(bad).starts_with("player 1: the heading of strategy 0 is not finite"));
  bad = good;
  bad.magnitudes[20] = std::numeric_limits<double>::infinity();
  CHECK(message(bad).starts_with("player 2: the heading of strategy 4 is not finite"));
  bad = good;
  bad.vectors.pop_back();
  CHECK(message(bad).starts_with("headings: 5 numbers"));
  bad = good;
  bad.magnitudes.pop_back();
  CHECK(message(bad).starts_with("headings: 23 magnitudes for 24 strategies"));
  bad = good;
  bad.magnitudes[0] = 1e200;
  CHECK(message(bad).starts_with("headings: their sum"));
  bad = good;
  bad.edges = {{0, 3, 1}};
  CHECK(message(bad).starts_with("edge 0: it joins 0 and 3"));
  bad.edges = {{0, 1, 1}, {2, 2, 1}};
  CHECK(message(bad).starts_with("edge 1: it joins a player with itself"));
  bad.edges = {{0, 1, std::numeric_limits<std::uint64_t>::max()}};
  CHECK(message(bad).starts_with("edge 0: the total of bytes overflows"));
  bad.edges.clear();
  bad.formats = {1, 2};
  CHECK(message(bad).starts_with("formats: 2 for 24"));
}

TEST_CASE("a time limit has a price, and the bound holds under both budgets") {
  Random random(32);
  int limited = 0;
  for (int trial = 0; trial < 400; ++trial) {
    const OwnedGame owned = random_game(random, 6, 4, couplings[trial % 3], trial % 4 == 0);
    Game game = owned.view();
    std::vector<std::uint64_t> time;
    for (std::size_t a = 0; a < owned.tables.loss.size(); ++a) time.push_back(below(random, 20));
    const Strategy some = random_plan(random, game);
    game.limit = {time, 0};
    game.limit.budget = nash_swarm::totals(game, some).time;
    const std::uint64_t budget = nash_swarm::totals(game, some).bytes + below(random, 20);
    double optimum = std::numeric_limits<double>::infinity();
    for_each_plan(game, [&](const Strategy& plan) {
      const nash_swarm::Totals sum = nash_swarm::totals(game, plan);
      if (sum.bytes <= budget && sum.time <= game.limit.budget)
        optimum = std::min(optimum, sum.loss);
    });
    Allocation allocation;
    try {
      allocation = nash_swarm::allocate(game, budget);
    } catch (const nash_swarm::Error&) {
      continue;  // two prices need not find a plan that fits both budgets tightly
    }
    const Certificate certificate = nash_swarm::certify(
        game, allocation.strategy, budget, allocation.price, allocation.y, allocation.time_price);
    CAPTURE(trial);
    CHECK(certificate.time <= game.limit.budget);
    CHECK(certificate.bytes <= budget);
    CHECK(certificate.loss >= optimum);
    CHECK(certificate.lower_bound <= optimum);
    CHECK(certificate.epsilon == 0);
    CHECK(nash_swarm::verify(certificate, game, allocation.strategy).empty());
    Certificate tampered = certificate;
    tampered.time_price += 1;
    CHECK_FALSE(nash_swarm::verify(tampered, game, allocation.strategy).empty());
    limited += certificate.time_price > 0;
  }
  CHECK(limited > 100);
}

TEST_CASE("a time limit on a larger game: the gap stays small") {
  Random random(33);
  const OwnedGame owned = smooth_game(random, 300, 8, 0.05);
  Game game = owned.view();
  std::vector<std::uint64_t> time;
  for (std::size_t a = 0; a < owned.tables.loss.size(); ++a) time.push_back(10 + below(random, 40));
  const std::uint64_t budget = 300 * 420;
  const std::uint64_t free_time =
      nash_swarm::totals({game.players, game.headings, {}, {}, {time, 0}},
                         nash_swarm::allocate(game, budget).strategy)
          .time;
  game.limit = {time, free_time * 8 / 10};
  const Allocation allocation = nash_swarm::allocate(game, budget);
  const Certificate certificate = nash_swarm::certify(
      game, allocation.strategy, budget, allocation.price, allocation.y, allocation.time_price);
  CHECK(certificate.time_price > 0);
  CHECK(certificate.epsilon == 0);
  CHECK(certificate.gap < 0.05);
  game.limit.budget = 300 * 9;
  CHECK_THROWS_WITH_AS(nash_swarm::allocate(game, budget),
                       doctest::Contains("is less than the shortest possible"), nash_swarm::Error);
}
