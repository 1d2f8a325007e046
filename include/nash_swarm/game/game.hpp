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
#include <nash_swarm/game/players.hpp>

namespace nash_swarm {

/// The coherent part of the damage: strategy a of player i moves the output of the model by the
/// vector u_i(a) of `dimension` numbers, and what the model suffers is ½‖Σ_i u_i(a_i)‖².
///
/// Either every strategy has a vector of its own, or `magnitude` is given and a player has one
/// direction for all its strategies: u_i(a) = magnitude(a) · direction_i.
struct Headings {
  std::size_t dimension = 0;       ///< s; 0: the players do not disturb each other
  std::span<const double> vector;  ///< [strategies of all players, s] or, directions, [players, s]
  std::span<const double> magnitude;  ///< [strategies of all players], or empty

  bool shared() const noexcept { return !magnitude.empty(); }
};

/// Two neighbours that save bytes by choosing the same format.
struct Edge {
  std::size_t a = 0;
  std::size_t b = 0;
  std::uint64_t bytes = 0;  ///< taken if a and b choose different formats
};

/// A second budget beside the bytes, in any whole unit (nanoseconds, say).
struct TimeLimit {
  std::span<const std::uint64_t> time;  ///< [strategies of all players]; empty: time does not count
  std::uint64_t budget = 0;
};

/// For players that stand for many, as a matrix does for its cells: a polygon of bytes and loss L
/// that lies below all they can do, with coherent part direction · √(2ρL) and incoherent part
/// (1 − ρ)·L. The lower bound uses it in place of the strategies.
struct HullCorners {
  std::span<const std::size_t> first;  ///< [players + 1]: player i has [first[i], first[i + 1])
  std::span<const double> bytes;       ///< [corners of all players], ascending for each
  std::span<const double> loss;        ///< [corners of all players], descending for each
  std::span<const double> coherent;    ///< [players] share ρ, 0 … 1
};

/// A game: tables, how players disturb each other, and who shares bytes with whom; views on the
/// host's memory. The loss of a plan is F = ½‖Σ_i u_i(a_i)‖² + Σ_i loss_i(a_i), its bytes are those
/// of the strategies and of the edges between unequal ones.
struct Game {
  Players players;
  Headings headings;
  std::span<const Edge> edges;
  std::span<const std::uint32_t> format;  ///< [strategies of all players], what edges compare;
                                          ///< empty: the index within the player
  TimeLimit limit;
  HullCorners corners;  ///< empty: the strategies are all there is; needs shared directions

  Game() = default;
  /// A separable game.
  NASH_SWARM_KEYED Game(const Players& tables)  // NOLINT(google-explicit-constructor)
      : players(tables) {}
  NASH_SWARM_KEYED Game(const Players& tables, const Headings& vectors,
                        std::span<const Edge> pairs = {},
                        std::span<const std::uint32_t> formats = {}, const TimeLimit& times = {})
      : players(tables), headings(vectors), edges(pairs), format(formats), limit(times) {}

  std::size_t size() const noexcept { return players.size(); }
  bool coupled() const noexcept { return headings.dimension != 0; }
  bool timed() const noexcept { return !limit.time.empty(); }

  /// Time of a strategy, 0 if time does not count; not checked.
  std::uint64_t time_of(std::size_t player, std::size_t strategy) const noexcept {
    return timed() ? limit.time[players.first[player] + strategy] : 0;
  }

  /// What edges compare; not checked.
  std::uint32_t format_of(std::size_t player, std::size_t strategy) const noexcept {
    return format.empty() ? static_cast<std::uint32_t>(strategy)
                          : format[players.first[player] + strategy];
  }

  /// Direction of u_i(a), [s]; not checked.
  std::span<const double> direction(std::size_t player, std::size_t strategy) const noexcept {
    const std::size_t row = headings.shared() ? player : players.first[player] + strategy;
    return headings.vector.subspan(row * headings.dimension, headings.dimension);
  }
  /// Factor of `direction` that gives u_i(a); not checked.
  NASH_SWARM_KEYED double magnitude(std::size_t player, std::size_t strategy) const noexcept {
    return headings.shared() ? headings.magnitude[players.first[player] + strategy] : 1.0;
  }
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// @throws Error for vectors that do not fit the tables or are not finite
inline void check_headings(const Game& game) {
  const Headings& headings = game.headings;
  const std::size_t strategies = game.players.bytes.size();
  const std::size_t vectors = headings.shared() ? game.size() : strategies;
  if (headings.shared() && headings.magnitude.size() != strategies) {
    throw Error("headings", std::to_string(headings.magnitude.size()) + " magnitudes for " +
                                std::to_string(strategies) + " strategies");
  }
  if (headings.dimension != 0 && headings.vector.size() / headings.dimension != vectors) {
    throw Error("headings", std::to_string(headings.vector.size()) + " numbers for " +
                                std::to_string(vectors) + " vectors of " +
                                std::to_string(headings.dimension));
  }
  if (headings.vector.size() != vectors * headings.dimension) {
    throw Error("headings", "the numbers are no whole vectors",
                "pass dimension numbers for each, none without coupling");
  }
  // All vectors together could add up to this; its square must still be a number.
  double longest = 0;
  for (std::size_t player = 0; player < game.size(); ++player) {
    double largest = 0;
    for (std::size_t a = 0; a < game.players.bytes_of(player).size(); ++a) {
      double square = 0;
      for (const double x : game.direction(player, a)) square += x * x;
      const double length = std::sqrt(square) * std::abs(game.magnitude(player, a));
      if (!std::isfinite(length)) {
        throw Error(player_name(player),
                    "the heading of strategy " + std::to_string(a) + " is not finite",
                    "give finite numbers");
      }
      largest = length > largest ? length : largest;
    }
    longest += largest;
  }
  if (!std::isfinite(4 * longest * longest)) {
    throw Error("headings", "their sum could be too long to square", "scale the losses down");
  }
}

/// @throws Error for edges to nobody, to oneself, or whose bytes overflow with those of the players
inline void check_edges(const Game& game) {
  if (!game.format.empty() && game.format.size() != game.players.bytes.size()) {
    throw Error("formats", std::to_string(game.format.size()) + " for " +
                               std::to_string(game.players.bytes.size()) + " strategies");
  }
  std::uint64_t total = largest_bytes(game.players);
  for (std::size_t e = 0; e < game.edges.size(); ++e) {
    const Edge& edge = game.edges[e];
    const std::string name = "edge " + std::to_string(e);
    if (edge.a >= game.size() || edge.b >= game.size()) {
      throw Error(name, "it joins " + std::to_string(edge.a) + " and " + std::to_string(edge.b) +
                            ", but there are " + std::to_string(game.size()) + " players");
    }
    if (edge.a == edge.b) throw Error(name, "it joins a player with itself", "leave it out");
    if (edge.bytes > std::numeric_limits<std::uint64_t>::max() - total) {
      throw Error(name, "the total of bytes overflows", "keep all bytes together below 2^64");
    }
    total += edge.bytes;
  }
}

/// @throws Error for corners that do not fit the players or are no descending polygon
inline void check_corners(const Game& game) {
  const HullCorners& corners = game.corners;
  if (corners.first.empty()) return;
  const std::size_t count = corners.first.back();
  if (!game.headings.shared() || game.timed() || corners.first.size() != game.size() + 1 ||
      corners.coherent.size() != game.size() || corners.bytes.size() != count ||
      corners.loss.size() != count) {
    throw Error("corners", "they do not fit the players",
                "pass one polygon for every player, shared directions and no time limit");
  }
  for (std::size_t player = 0; player < game.size(); ++player) {
    const std::size_t begin = corners.first[player];
    const std::size_t end = corners.first[player + 1];
    const double share = corners.coherent[player];
    bool good = begin < end && end <= count && share >= 0 && share <= 1;
    for (std::size_t k = begin; k < end && good; ++k) {
      good = std::isfinite(corners.bytes[k]) && std::isfinite(corners.loss[k]) &&
             corners.bytes[k] >= 0 && corners.loss[k] >= 0 &&
             (k == begin ||
              (corners.bytes[k] >= corners.bytes[k - 1] && corners.loss[k] <= corners.loss[k - 1]));
    }
    if (!good) throw Error(player_name(player), "its corners are no descending polygon");
  }
}

/// @throws Error for times that do not fit the tables or whose total overflows
inline void check_times(const Game& game) {
  if (!game.timed()) return;
  if (game.limit.time.size() != game.players.bytes.size()) {
    throw Error("times", std::to_string(game.limit.time.size()) + " for " +
                             std::to_string(game.players.bytes.size()) + " strategies");
  }
  std::uint64_t total = 0;
  for (std::size_t player = 0; player < game.size(); ++player) {
    std::uint64_t longest = 0;
    for (std::size_t a = 0; a < game.players.bytes_of(player).size(); ++a) {
      longest = std::max(longest, game.time_of(player, a));
    }
    if (longest > std::numeric_limits<std::uint64_t>::max() - total) {
      throw Error(player_name(player), "the total of times overflows",
                  "keep the longest times of all players together below 2^64");
    }
    total += longest;
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Refuses a game that is not defined: bad tables, headings, edges or times.
/// @throws Error that names the player, heading or edge
inline void check(const Game& game) {
  check(game.players);
  detail::check_headings(game);
  detail::check_edges(game);
  detail::check_times(game);
  detail::check_corners(game);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
