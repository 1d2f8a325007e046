#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// The tables of a game, as views on memory that the host owns: every player chooses one of its
/// strategies, and each strategy has the bytes that it takes and the loss that it causes.
struct Players {
  std::span<const std::size_t> first;    ///< [players + 1]: player i has [first[i], first[i + 1])
  std::span<const std::uint64_t> bytes;  ///< [strategies of all players]
  std::span<const double> loss;          ///< [strategies of all players], finite and 0 or more

  /// Number of players.
  std::size_t size() const noexcept { return first.empty() ? 0 : first.size() - 1; }

  /// Bytes of one player's strategies; not checked.
  std::span<const std::uint64_t> bytes_of(std::size_t player) const noexcept {
    return bytes.subspan(first[player], first[player + 1] - first[player]);
  }

  /// Losses of one player's strategies; not checked.
  std::span<const double> loss_of(std::size_t player) const noexcept {
    return loss.subspan(first[player], first[player + 1] - first[player]);
  }
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

inline std::string player_name(std::size_t player) {
  return "player " + std::to_string(player);
}

/// @throws Error if `first` does not cut the tables into one run of strategies per player
inline void check_runs(const Players& players) {
  const auto& first = players.first;
  if (first.empty() || first[0] != 0) {
    throw Error("players", "the list of first strategies does not start with 0",
                "pass players + 1 entries, the last one the number of strategies");
  }
  for (std::size_t player = 0; player < players.size(); ++player) {
    if (first[player + 1] < first[player]) {
      throw Error(player_name(player),
                  "its strategies end at " + std::to_string(first[player + 1]) +
                      ", before they begin at " + std::to_string(first[player]),
                  "pass first strategies in ascending order");
    }
    const std::size_t strategies = first[player + 1] - first[player];
    if (strategies == 0) {
      throw Error(player_name(player), "it has no strategy", "give it at least one");
    }
    if (strategies > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(player_name(player), "it has more than 4294967295 strategies");
    }
  }
  const std::size_t total = first.back();
  if (total != players.bytes.size() || total != players.loss.size()) {
    throw Error("players", "the last entry of the first strategies is " + std::to_string(total) +
                               ", but there are " + std::to_string(players.bytes.size()) +
                               " bytes and " + std::to_string(players.loss.size()) + " losses");
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Refuses tables on which the game is not defined. The index of a strategy in a message counts
/// from the first strategy of its player.
/// @throws Error for runs that do not fit, an empty player, a loss that is negative or not finite,
///         and for totals over all players that overflow (bytes: 64 bits, loss: a double)
inline void check(const Players& players) {
  detail::check_runs(players);
  std::uint64_t total_bytes = 0;
  double total_loss = 0;
  for (std::size_t player = 0; player < players.size(); ++player) {
    const auto bytes = players.bytes_of(player);
    const auto loss = players.loss_of(player);
    std::size_t largest = 0;
    std::size_t worst = 0;
    for (std::size_t strategy = 0; strategy < bytes.size(); ++strategy) {
      if (!std::isfinite(loss[strategy]) || loss[strategy] < 0) {
        throw Error(detail::player_name(player),
                    "strategy " + std::to_string(strategy) + " has the loss " +
                        std::to_string(loss[strategy]),
                    "give losses that are finite and 0 or more");
      }
      if (bytes[strategy] > bytes[largest]) largest = strategy;
      if (loss[strategy] > loss[worst]) worst = strategy;
    }
    if (bytes[largest] > std::numeric_limits<std::uint64_t>::max() - total_bytes) {
      throw Error(detail::player_name(player),
                  "the total of bytes overflows at strategy " + std::to_string(largest),
                  "keep the largest bytes of all players together below 2^64");
    }
    total_bytes += bytes[largest];
    total_loss += loss[worst];
    if (!std::isfinite(total_loss)) {
      throw Error(detail::player_name(player),
                  "the total of losses overflows at strategy " + std::to_string(worst),
                  "scale the losses down");
    }
  }
}

/// The fewest bytes that any allocation can take; the tables are not checked.
inline std::uint64_t smallest_bytes(const Players& players) noexcept {
  std::uint64_t total = 0;
  for (std::size_t player = 0; player < players.size(); ++player) {
    total += std::ranges::min(players.bytes_of(player));
  }
  return total;
}

/// The most bytes that any allocation can take; the tables are not checked.
inline std::uint64_t largest_bytes(const Players& players) noexcept {
  std::uint64_t total = 0;
  for (std::size_t player = 0; player < players.size(); ++player) {
    total += std::ranges::max(players.bytes_of(player));
  }
  return total;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
