#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Bytes of the edges between each player and the next one, [players].
inline std::vector<std::uint64_t> bytes_to_next(const Game& game) {
  std::vector<std::uint64_t> bytes(game.size());
  for (const Edge& edge : game.edges) {
    const auto [low, high] = std::minmax(edge.a, edge.b);
    if (low + 1 == high) bytes[low] += edge.bytes;
  }
  return bytes;
}

/// The plan with the fewest bytes if only edges between a player and the next one count: dynamic
/// programming along the chain. O(players · strategies²), without edges O(players · strategies).
inline std::vector<std::uint32_t> cheapest_chain(const Game& game) {
  const Players& players = game.players;
  const std::vector<std::uint64_t> edge = bytes_to_next(game);
  std::vector<std::uint64_t> least(players.bytes.begin(), players.bytes.end());  // up to and with a
  std::vector<std::uint32_t> before(players.bytes.size());
  for (std::size_t player = 1; player < game.size(); ++player) {
    const std::size_t last = players.first[player - 1];
    const std::size_t own = players.first[player];
    const std::size_t size = players.first[player + 1] - own;
    const auto cheapest = std::min_element(least.begin() + static_cast<std::ptrdiff_t>(last),
                                           least.begin() + static_cast<std::ptrdiff_t>(own)) -
                          least.begin() - static_cast<std::ptrdiff_t>(last);
    for (std::size_t a = 0; a < size; ++a) {
      // Whoever has another format comes behind the cheapest one, which pays the edge at most.
      auto best = static_cast<std::size_t>(cheapest);
      std::uint64_t bytes = least[last + best] + edge[player - 1];
      for (std::size_t b = 0; edge[player - 1] > 0 && b < own - last; ++b) {
        if (game.format_of(player, a) != game.format_of(player - 1, b)) continue;
        if (least[last + b] >= bytes) continue;
        bytes = least[last + b];
        best = b;
      }
      least[own + a] += bytes;
      before[own + a] = static_cast<std::uint32_t>(best);
    }
  }
  std::vector<std::uint32_t> strategy(game.size());
  for (std::size_t player = game.size(); player-- > 0;) {
    const std::size_t own = players.first[player];
    if (player + 1 == game.size()) {
      const auto begin = least.begin() + static_cast<std::ptrdiff_t>(own);
      strategy[player] = static_cast<std::uint32_t>(std::min_element(begin, least.end()) - begin);
    } else {
      strategy[player] = before[players.first[player + 1] + strategy[player + 1]];
    }
  }
  return strategy;
}

/// A plan with few bytes. It has the fewest if edges join only consecutive players; otherwise no
/// move of one player saves bytes.
inline std::vector<std::uint32_t> cheapest_plan(const Game& game) {
  std::vector<std::uint32_t> strategy(game.size());
  if (game.edges.empty()) {
    for (std::size_t player = 0; player < game.size(); ++player) {
      const auto bytes = game.players.bytes_of(player);
      strategy[player] =
          static_cast<std::uint32_t>(std::ranges::min_element(bytes) - bytes.begin());
    }
    return strategy;
  }
  const Game bytes_only(game.players, {}, game.edges, game.format);
  RunningPlan plan(bytes_only, cheapest_chain(game));
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
