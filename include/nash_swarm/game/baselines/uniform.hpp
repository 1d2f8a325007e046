#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// The same strategy index for everybody, the one with the smallest loss among those that fit. A
/// player with fewer strategies takes its last. If no index fits, the cheapest plan.
/// O(players · strategies · s)
/// @throws Error for a bad game, a time limit, and a budget below the cheapest plan
inline Allocation uniform_allocation(const Game& game, std::uint64_t budget, std::uint64_t = 0) {
  std::vector<std::uint32_t> best = detail::starting_plan(game, budget);
  std::size_t most = 0;
  for (std::size_t player = 0; player < game.size(); ++player) {
    most = std::max(most, game.players.bytes_of(player).size());
  }
  double best_loss = std::numeric_limits<double>::infinity();
  std::vector<std::uint32_t> plan(game.size());
  for (std::size_t index = 0; index < most; ++index) {
    for (std::size_t player = 0; player < game.size(); ++player) {
      const std::size_t last = game.players.bytes_of(player).size() - 1;
      plan[player] = static_cast<std::uint32_t>(std::min(index, last));
    }
    const Totals sum = totals(game, plan);
    if (sum.bytes > budget || !(sum.loss < best_loss)) continue;
    best_loss = sum.loss;
    best = plan;
  }
  return detail::finished(game, std::move(best));
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
