#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/baselines/lagrangian.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/players.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Most entries of the table of choices; 128 MiB.
inline constexpr std::uint64_t most_table_entries = std::uint64_t{1} << 25;

/// The best plan of a separable game within the budget, which must not be too small.
inline Allocation multiple_choice_knapsack(const Players& players, std::uint64_t budget) {
  std::uint64_t unit = 0;
  for (std::size_t player = 0; player < players.size(); ++player) {
    const std::uint64_t fewest = std::ranges::min(players.bytes_of(player));
    for (const std::uint64_t bytes : players.bytes_of(player)) {
      unit = std::gcd(unit, bytes - fewest);
    }
  }
  unit = std::max<std::uint64_t>(unit, 1);
  const std::uint64_t smallest = smallest_bytes(players);
  const std::uint64_t capacity =
      std::min(budget - smallest, largest_bytes(players) - smallest) / unit;  // nobody can use more
  if (capacity >= most_table_entries / std::max<std::uint64_t>(players.size(), 1)) {
    throw Error("dynamic programming",
                std::to_string(players.size()) + " players and " + std::to_string(capacity) +
                    " steps of " + std::to_string(unit) + " bytes are too large a table",
                "take another method for a game of this size");
  }
  const std::size_t width = static_cast<std::size_t>(capacity) + 1;
  std::vector<double> before(width);
  std::vector<double> after(width);
  std::vector<std::uint32_t> choice(players.size() * width);
  const auto units = [&](std::size_t player, std::size_t a) {
    const auto bytes = players.bytes_of(player);
    return (bytes[a] - std::ranges::min(bytes)) / unit;
  };
  for (std::size_t player = 0; player < players.size(); ++player) {
    const auto loss = players.loss_of(player);
    std::ranges::fill(after, std::numeric_limits<double>::infinity());
    for (std::uint32_t a = 0; a < loss.size(); ++a) {
      for (std::size_t taken = static_cast<std::size_t>(units(player, a)), left = 0; taken < width;
           ++taken, ++left) {
        if (before[left] + loss[a] >= after[taken]) continue;
        after[taken] = before[left] + loss[a];
        choice[player * width + taken] = a;
      }
    }
    before.swap(after);
  }
  Allocation allocation;
  allocation.strategy.resize(players.size());
  std::size_t left = width - 1;
  for (std::size_t player = players.size(); player-- > 0;) {
    allocation.strategy[player] = choice[player * width + left];
    left -= static_cast<std::size_t>(units(player, allocation.strategy[player]));
  }
  return allocation;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Dynamic programming over bytes, in steps of the common divisor of all differences: the optimum
/// of a separable game (Dudzinski and Walukiewicz 1987, "Exact methods for the knapsack problem and
/// its generalizations"). Cross terms are ignored (loss + ½‖u‖²), and bytes that edges take are
/// withheld from the budget. O(strategies · steps), memory O(players · steps)
/// @throws Error for a bad game, a time limit, a budget below the cheapest plan, and for more than
///         2^25 players times steps
inline Allocation dynamic_programming_allocation(const Game& game, std::uint64_t budget,
                                                 std::uint64_t = 0) {
  return detail::solve_alone(game, budget, detail::multiple_choice_knapsack);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
