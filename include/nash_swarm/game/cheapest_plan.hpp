#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/chain.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// The plan with the fewest bytes of every player's strategies; edges are not looked at.
inline std::vector<std::uint32_t> cheapest_strategies(const Players& players) {
  std::vector<std::uint32_t> strategy;
  for (std::size_t player = 0; player < players.size(); ++player) {
    const auto bytes = players.bytes_of(player);
    strategy.push_back(
        static_cast<std::uint32_t>(std::min_element(bytes.begin(), bytes.end()) - bytes.begin()));
  }
  return strategy;
}

/// A plan with few bytes. It has the fewest if edges join only consecutive players; otherwise no
/// move of one player saves bytes. Neither the game nor any budget is checked.
inline std::vector<std::uint32_t> cheapest_plan(const Game& game) {
  const Game bytes_only(game.players, {}, game.edges, game.format);
  if (is_chain(bytes_only)) return solve_chains(bytes_only, FewestBytes{}).strategy;
  RunningPlan plan(bytes_only, cheapest_strategies(game.players));
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t player = 0; player < game.size(); ++player) {
      std::uint32_t best = plan.strategy()[player];
      std::uint64_t fewest = plan.bytes_of(player, best);
      for (std::uint32_t a = 0; a < game.players.bytes_of(player).size(); ++a) {
        if (plan.bytes_of(player, a) >= fewest) continue;
        fewest = plan.bytes_of(player, a);
        best = a;
      }
      if (best == plan.strategy()[player]) continue;
      plan.move(player, best, 0);
      moved = true;
    }
  }
  return plan.strategy();
}

/// What to throw if no plan was found that fits.
inline Error budget_too_small(const Game& game, std::uint64_t budget) {
  const std::string fewest = std::to_string(totals(game, cheapest_plan(game)).bytes);
  return Error("budget",
               std::to_string(budget) + " bytes are fewer than the " + fewest +
                   " of the cheapest plan found",
               "give at least " + fewest + " bytes");
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
