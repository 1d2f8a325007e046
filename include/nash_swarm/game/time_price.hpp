#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/coupled_search.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// loss + price · time of every strategy.
inline std::vector<double> losses_with_time(const Game& game, double price) {
  std::vector<double> losses(game.players.loss.begin(), game.players.loss.end());
  for (std::size_t a = 0; a < losses.size(); ++a) {
    losses[a] = std::fma(price, static_cast<double>(game.limit.time[a]), losses[a]);
  }
  return losses;
}

/// The least time of any plan; the game is not checked.
inline std::uint64_t shortest_time(const Game& game) noexcept {
  std::uint64_t total = 0;
  for (std::size_t player = 0; player < game.size(); ++player) {
    std::uint64_t shortest = game.time_of(player, 0);
    for (std::size_t a = 1; a < game.players.bytes_of(player).size(); ++a) {
      shortest = std::min(shortest, game.time_of(player, a));
    }
    total += shortest;
  }
  return total;
}

/// Makes a plan fit the time budget of a game: `allocate_at(price)` plans the game without a time
/// limit whose losses are loss + price · time, and the price of time is doubled until its plan fits
/// and then bisected. Single moves hand out what is left of both budgets.
/// @param allocate_at a function of the price of time that returns an Allocation
/// @throws Error if the time budget is below the shortest time, or no plan fits both budgets
template <class AllocateAt>
Allocation allocate_within_time(const Game& game, std::uint64_t budget, AllocateAt allocate_at) {
  constexpr int doublings = 100;
  constexpr int halvings = 12;
  const std::uint64_t shortest = shortest_time(game);
  if (game.limit.budget < shortest) {
    throw Error("time budget",
                std::to_string(game.limit.budget) + " is less than the shortest possible " +
                    std::to_string(shortest),
                "give at least " + std::to_string(shortest));
  }
  const auto fits = [&](const Allocation& plan) {
    return totals(game, plan.strategy).time <= game.limit.budget;
  };
  Allocation best = allocate_at(0.0);
  if (fits(best)) return best;
  const Totals free_plan = totals(game, best.strategy);
  double too_low = 0;
  double price = free_plan.loss > 0 ? free_plan.loss / static_cast<double>(free_plan.time) : 1.0;
  for (int i = 0; i < doublings && !fits(best); ++i) {
    if (i > 0) {
      too_low = price;
      price *= 2;
    }
    best = allocate_at(price);
    best.time_price = price;
  }
  if (!fits(best)) {
    throw Error("budget", "no plan was found that fits both bytes and time", "give more of one");
  }
  for (int i = 0; i < halvings; ++i) {
    const double middle = too_low + 0.5 * (best.time_price - too_low);
    Allocation allocation = allocate_at(middle);
    if (fits(allocation)) {
      best = std::move(allocation);
      best.time_price = middle;
    } else {
      too_low = middle;
    }
  }
  RunningPlan plan(game, best.strategy);
  make_single_moves(plan, budget);
  best.strategy = plan.strategy();
  return best;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
