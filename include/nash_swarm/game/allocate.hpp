#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/game/allocation.hpp>
#include <nash_swarm/game/game.hpp>

#if NASH_SWARM_DEFINITIONS
#include <nash_swarm/game/chain.hpp>
#include <nash_swarm/game/exact.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>
#include <nash_swarm/game/swarm.hpp>
#include <nash_swarm/game/time_price.hpp>
#endif

namespace nash_swarm {

#if NASH_SWARM_DEFINITIONS
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Games of so few players are solved exactly.
inline constexpr std::size_t exact_players = 12;

/// Plans a game without a time limit.
inline Allocation allocate_untimed(const Game& game, std::uint64_t budget, ExecutorView executor,
                                   std::uint64_t seed) {
  Allocation allocation;
  if (!game.coupled() && game.edges.empty()) {
    allocation = allocate_separable(game.players, budget, executor);
  } else if (is_chain(game)) {
    allocation = allocate_chains(game, budget);
  } else {
    allocation = play_swarm(game, budget, executor, seed);
  }
  if (game.size() <= exact_players && game.size() > 0) {
    Allocation exact = allocate_exactly(game, budget, allocation.price, allocation.y);
    if (allocation.strategy.empty() ||
        totals(game, exact.strategy).loss < totals(game, allocation.strategy).loss) {
      allocation.strategy = std::move(exact.strategy);
    }
  }
  if (allocation.strategy.size() != game.size()) {
    throw Error("budget",
                std::to_string(budget) + " bytes leave no room for the edges between players",
                "give more bytes");
  }
  return allocation;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
#endif

inline namespace NASH_SWARM_TARGET {

/// Chooses a strategy for every player so that the bytes fit the budget and the loss is small: an
/// equilibrium of the game that `certify` certifies. A separable game and one of chains
/// are solved at a price, others by a swarm of flocks, and games of up to 12 players exactly. A
/// time limit has a price of its own.
/// @param seed of the flocks; the result does not depend on the executor
/// @throws Error for a bad game and for a budget below the smallest possible bytes
NASH_SWARM_FUNCTION Allocation allocate(const Game& game, std::uint64_t budget,
                                        ExecutorView executor, std::uint64_t seed = 0);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION Allocation allocate(const Game& game, std::uint64_t budget,
                                          ExecutorView executor, std::uint64_t seed) {
  check(game);
  detail::check_budget(smallest_bytes(game.players), budget);
  Game untimed = game;
  untimed.limit = {};
  if (!game.timed()) return detail::allocate_untimed(untimed, budget, executor, seed);
  return detail::allocate_within_time(game, budget, [&](double price) {
    const std::vector<double> priced = detail::losses_with_time(game, price);
    untimed.players.loss = priced;
    return detail::allocate_untimed(untimed, budget, executor, seed);
  });
}
#endif

/// The same on the calling thread.
inline Allocation allocate(const Game& game, std::uint64_t budget) {
  SerialExecutor executor;
  return allocate(game, budget, executor);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
