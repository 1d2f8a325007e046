#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/game.hpp>

namespace nash_swarm {

/// What a plan takes and what the model suffers from it.
struct Totals {
  std::uint64_t bytes = 0;  ///< of the strategies and of edges between unequal formats
  double loss = 0;          ///< F = ½‖y‖² + Σ_i loss_i(a_i)
  std::uint64_t time = 0;
  std::vector<double> y;  ///< [s] running sum of the headings, Σ_i u_i(a_i)
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Explicit fma, in the order of the numbers: figures must not depend on a host's flags.
inline double dot(std::span<const double> a, std::span<const double> b) noexcept {
  double sum = 0;
  for (std::size_t k = 0; k < a.size(); ++k) sum = std::fma(a[k], b[k], sum);
  return sum;
}

/// y += factor · u_player(strategy)
inline void add_heading(const Game& game, std::size_t player, std::size_t strategy, double factor,
                        std::span<double> y) noexcept {
  const auto direction = game.direction(player, strategy);
  const double scale = factor * game.magnitude(player, strategy);
  for (std::size_t k = 0; k < y.size(); ++k) y[k] = std::fma(scale, direction[k], y[k]);
}

/// Bytes of one edge under a plan.
inline std::uint64_t edge_bytes(const Game& game, std::span<const std::uint32_t> strategy,
                                const Edge& edge) noexcept {
  return game.format_of(edge.a, strategy[edge.a]) == game.format_of(edge.b, strategy[edge.b])
             ? 0
             : edge.bytes;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Bytes, loss and running heading of a plan, from scratch; the game and the plan are not checked.
/// @param strategy [players]: index within the player's strategies
/// O(players · s + edges)
inline Totals totals(const Game& game, std::span<const std::uint32_t> strategy) {
  Totals sum;
  sum.y.resize(game.headings.dimension);
  for (std::size_t player = 0; player < game.size(); ++player) {
    sum.bytes += game.players.bytes_of(player)[strategy[player]];
    sum.loss += game.players.loss_of(player)[strategy[player]];
    sum.time += game.time_of(player, strategy[player]);
    detail::add_heading(game, player, strategy[player], 1.0, sum.y);
  }
  for (const Edge& edge : game.edges) sum.bytes += detail::edge_bytes(game, strategy, edge);
  sum.loss = std::fma(0.5, detail::dot(sum.y, sum.y), sum.loss);
  return sum;
}

/// The potential Φ = F + price · (bytes − budget): every unilateral change of a player's cost,
/// which is its marginal contribution to Φ, equals the change of Φ (an exact potential game,
/// Monderer and Shapley 1996, "Potential games").
inline double potential(const Game& game, std::span<const std::uint32_t> strategy, double price,
                        std::uint64_t budget) {
  const Totals sum = totals(game, strategy);
  const double over = sum.bytes >= budget ? static_cast<double>(sum.bytes - budget)
                                          : -static_cast<double>(budget - sum.bytes);
  return std::fma(price, over, sum.loss);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
