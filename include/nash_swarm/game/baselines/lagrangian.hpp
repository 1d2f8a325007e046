#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/players.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Losses as if every player were alone: loss + ½‖u‖², [strategies].
inline std::vector<double> losses_alone(const Game& game) {
  std::vector<double> alone(game.players.loss.begin(), game.players.loss.end());
  for (std::size_t player = 0; player < game.size() && game.coupled(); ++player) {
    for (std::size_t a = 0; a < game.players.bytes_of(player).size(); ++a) {
      const auto direction = game.direction(player, a);
      const double magnitude = game.magnitude(player, a);
      double& loss = alone[game.players.first[player] + a];
      loss = std::fma(0.5 * magnitude * magnitude, dot(direction, direction), loss);
    }
  }
  return alone;
}

/// Calls `solve(Players, budget)` on the game without cross terms and edges. The bytes that edges
/// turn out to take are withheld from the budget until the plan fits, at least twice as many every
/// time; if nothing is left, the cheapest plan.
template <class Solve>
Allocation solve_alone(const Game& game, std::uint64_t budget, Solve solve) {
  std::vector<std::uint32_t> cheapest = starting_plan(game, budget);
  std::vector<double> alone;
  Players players = game.players;
  if (game.coupled()) {
    alone = losses_alone(game);
    players.loss = alone;
  }
  const std::uint64_t most = budget - smallest_bytes(players);
  for (std::uint64_t withheld = 0;;) {
    Allocation allocation = solve(players, budget - withheld);
    const std::uint64_t bytes = totals(game, allocation.strategy).bytes;
    if (bytes <= budget) {
      return finished(game, std::move(allocation.strategy), allocation.price);
    }
    const std::uint64_t more = std::max(withheld, bytes - budget);
    if (more > most - withheld) return finished(game, std::move(cheapest));
    withheld += more;
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Best responses at one price, each player as if it were alone (loss + ½‖u‖²): the usual sort of
/// slopes (Everett 1963), which leaves the last bytes free. Cross terms are ignored; bytes that
/// edges take are withheld from the budget. Linear in the strategies.
/// @throws Error for a bad game, a time limit, and a budget below the cheapest plan
inline Allocation lagrangian_allocation(const Game& game, std::uint64_t budget, std::uint64_t = 0) {
  return detail::solve_alone(game, budget, [](const Players& players, std::uint64_t bytes) {
    return allocate_at_price(players, bytes);
  });
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
