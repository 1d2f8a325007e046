#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/cheapest_plan.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// @throws Error for a bad game and a time limit
inline void check_untimed(const Game& game) {
  check(game);
  if (game.timed()) {
    throw Error("time limit", "the baselines know no budget but bytes", "leave the times out");
  }
}

/// Checks a game and a budget for the baselines.
/// @return the cheapest plan found, where methods start that improve a plan
/// @throws Error for a bad game, a time limit, and a budget that no plan found fits
inline std::vector<std::uint32_t> starting_plan(const Game& game, std::uint64_t budget) {
  check_untimed(game);
  std::vector<std::uint32_t> plan = cheapest_plan(game);
  if (totals(game, plan).bytes > budget) throw budget_too_small(game, budget);
  return plan;
}

/// A plan with its running heading.
inline Allocation finished(const Game& game, std::vector<std::uint32_t> plan, double price = 0) {
  Allocation allocation;
  allocation.y = totals(game, plan).y;
  allocation.strategy = std::move(plan);
  allocation.price = price;
  return allocation;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

}  // namespace nash_swarm
