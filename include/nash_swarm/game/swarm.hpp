#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/cheapest_plan.hpp>
#include <nash_swarm/game/coupled_search.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/relaxation.hpp>

namespace nash_swarm {
namespace detail {

/// Where a flock ended.
struct FlockResult {
  std::vector<std::uint32_t> strategy;
  double loss = 0;
};

inline namespace NASH_SWARM_TARGET {

inline constexpr std::size_t flocks = 8;

/// The generator of a flock: splitmix64 (Steele, Lea and Flood 2014), the same everywhere.
class FlockRandom {
 public:
  explicit FlockRandom(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t limit) noexcept { return next() % limit; }
  double uniform() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

/// One flock: its start and the order of its moves depend on its number alone.
class Flock {
 public:
  Flock(const Game& game, std::uint64_t budget, const Relaxation& relaxation, std::uint64_t seed,
        std::size_t number)
      : game_(game),
        budget_(budget),
        relaxation_(relaxation),
        number_(number),
        random_(seed * flocks + number),
        order_(game.size()) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    if (number_ % 4 == 1) std::reverse(order_.begin(), order_.end());
    if (number_ % 4 >= 2) {
      for (std::size_t i = order_.size(); i > 1; --i) {
        std::swap(order_[i - 1], order_[random_.below(i)]);
      }
    }
  }

  /// @return nothing if the flock found no plan within the budget
  std::optional<FlockResult> fly() {
    RunningPlan plan(game_, start());
    // A move must be worth a millionth of what the average player loses.
    const double epsilon =
        1e-6 * std::max(0.0, relaxation_.lower_bound) / static_cast<double>(game_.size());
    if (!settle_within(plan, budget_, relaxation_.price, epsilon, order_)) return std::nullopt;
    improve_within(plan, budget_, relaxation_.price);
    FlockResult best{plan.strategy(), plan.loss()};
    if (number_ >= flocks / 2) {
      stir(plan);
      if (settle_within(plan, budget_, relaxation_.price, epsilon, order_)) {
        improve_within(plan, budget_, relaxation_.price);
        if (plan.loss() < best.loss) best = {plan.strategy(), plan.loss()};
      }
    }
    return best;
  }

 private:
  std::vector<std::uint32_t> start() {
    std::vector<std::uint32_t> strategy = relaxation_.strategy;
    if (number_ == 2) strategy = cheapest_strategies(game_.players);
    if (number_ == 3) {
      for (std::size_t player = 0; player < strategy.size(); ++player) {
        strategy[player] =
            static_cast<std::uint32_t>(random_.below(game_.players.bytes_of(player).size()));
      }
    }
    return strategy;
  }

  /// Log-linear learning (Blume 1993): players in turn draw a strategy with a probability that
  /// falls exponentially with its cost at the price, at a falling temperature.
  void stir(RunningPlan& plan) {
    constexpr std::size_t rounds = 4;
    std::vector<LossChange> changes;
    std::vector<double> costs;
    double temperature = 0.1 * plan.loss() / static_cast<double>(game_.size());
    for (std::size_t round = 0; round < rounds; ++round, temperature /= 4) {
      for (const std::size_t player : order_) {
        plan.loss_changes(player, changes);
        const std::uint32_t chosen = draw(plan, player, temperature, changes, costs);
        if (chosen != plan.strategy()[player]) plan.move(player, chosen, changes[chosen].value);
      }
      plan.refresh();
    }
  }

  std::uint32_t draw(const RunningPlan& plan, std::size_t player, double temperature,
                     std::span<const LossChange> changes, std::vector<double>& costs) {
    costs.clear();
    for (std::size_t a = 0; a < changes.size(); ++a) {
      costs.push_back(std::fma(relaxation_.price, static_cast<double>(plan.bytes_of(player, a)),
                               changes[a].value));
    }
    const double lowest = *std::min_element(costs.begin(), costs.end());
    double total = 0;
    for (double& cost : costs) total += cost = std::exp((lowest - cost) / temperature);
    double left = random_.uniform() * total;
    std::uint32_t chosen = 0;
    while (chosen + 1 < costs.size() && left >= costs[chosen]) left -= costs[chosen++];
    return chosen;
  }

  const Game& game_;
  std::uint64_t budget_;
  const Relaxation& relaxation_;
  std::size_t number_;
  FlockRandom random_;
  std::vector<std::size_t> order_;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Plays the coupled game with a swarm of flocks and returns the plan with the lowest loss. Flocks
/// differ in start and order and fly in parallel: best responses at the price until nobody moves,
/// the price found by bisection, then single moves and swaps under the budget until none helps;
/// half of them are stirred by log-linear learning and settle again. Each depends on `seed` and its
/// number alone, and ties go to the lower number, so the result is the same for every executor.
/// The game must be checked and the budget must not be below the smallest bytes.
/// @return the plan, empty if no flock found one that leaves room for the edges
template <Executor E>
Allocation play_swarm(const Game& game, std::uint64_t budget, E& executor, std::uint64_t seed) {
  Relaxation relaxation = relax(game, budget);
  std::vector<std::optional<detail::FlockResult>> results(detail::flocks);
  executor.run(detail::flocks, [&](std::size_t number) {
    results[number] = detail::Flock(game, budget, relaxation, seed, number).fly();
  });
  detail::FlockResult* best = nullptr;
  for (auto& result : results) {
    if (result && (best == nullptr || result->loss < best->loss)) best = &*result;
  }
  Allocation allocation{{}, relaxation.price, std::move(relaxation.y)};
  if (best != nullptr) allocation.strategy = std::move(best->strategy);
  return allocation;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
