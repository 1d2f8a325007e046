#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Best responses in turn under the shared budget: from the cheapest plan, every player goes over
/// to the strategy that fits with the smallest F, until nobody improves. A pure Nash equilibrium,
/// but whoever comes first takes the bytes. O(players · (s + strategies)) a round
/// @throws Error for a bad game, a time limit, and a budget below the cheapest plan
inline Allocation best_response_allocation(const Game& game, std::uint64_t budget,
                                           std::uint64_t = 0) {
  detail::RunningPlan plan(game, detail::starting_plan(game, budget));
  std::vector<detail::LossChange> changes;
  for (bool moved = true; moved;) {
    moved = false;
    for (std::size_t player = 0; player < game.size(); ++player) {
      plan.loss_changes(player, changes);
      std::uint32_t best = plan.strategy()[player];
      for (std::uint32_t a = 0; a < changes.size(); ++a) {
        if (changes[a].falls() && changes[a].value < changes[best].value &&
            plan.fits(player, a, budget)) {
          best = a;
        }
      }
      if (best == plan.strategy()[player]) continue;
      plan.move(player, best, changes[best].value);
      moved = true;
    }
    plan.refresh();
  }
  return detail::finished(game, plan.strategy());
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
