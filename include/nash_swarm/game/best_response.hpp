#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>

namespace nash_swarm {
namespace detail {

/// How F changes if one player leaves its strategy.
struct LossChange {
  double value = 0;
  double rounding = 0;  ///< at least as much as `value` may be off

  /// Whether F certainly falls.
  bool falls() const noexcept { return value < -rounding; }
};

inline namespace NASH_SWARM_TARGET {

/// A plan while it is being played: strategies with the running heading y = Σ u_i, so that looking
/// at all strategies of a player costs O(s + strategies) with shared directions, otherwise
/// O(s · strategies).
class RunningPlan {
 public:
  RunningPlan(const Game& game, std::vector<std::uint32_t> strategy)
      : game_(game), strategy_(std::move(strategy)), first_edge_(game.size() + 1) {
    for (const Edge& edge : game.edges) {
      ++first_edge_[edge.a + 1];
      ++first_edge_[edge.b + 1];
    }
    std::partial_sum(first_edge_.begin(), first_edge_.end(), first_edge_.begin());
    edges_.resize(first_edge_.back());
    std::vector<std::size_t> next(first_edge_.begin(), first_edge_.end() - 1);
    for (std::size_t e = 0; e < game.edges.size(); ++e) {
      edges_[next[game.edges[e].a]++] = e;
      edges_[next[game.edges[e].b]++] = e;
    }
    for (std::size_t player = 0; player < game.size() && game.headings.shared(); ++player) {
      squares_.push_back(dot(game.direction(player, 0), game.direction(player, 0)));
      lengths_.push_back(std::sqrt(squares_.back()));
    }
    refresh();
  }

  const std::vector<std::uint32_t>& strategy() const noexcept { return strategy_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  std::uint64_t time() const noexcept { return time_; }
  double loss() const noexcept { return loss_; }
  std::span<const double> y() const noexcept { return y_; }

  void assign(std::span<const std::uint32_t> strategy) {
    strategy_.assign(strategy.begin(), strategy.end());
    refresh();
  }

  /// Adds everything up anew, which rids y and the loss of the rounding of past moves.
  void refresh() {
    Totals sum = totals(game_, strategy_);
    bytes_ = sum.bytes;
    time_ = sum.time;
    loss_ = sum.loss;
    y_ = std::move(sum.y);
    total_length_ = 0;
    for (std::size_t player = 0; player < game_.size() && game_.coupled(); ++player) {
      const auto direction = game_.direction(player, strategy_[player]);
      const double length =
          lengths_.empty() ? std::sqrt(dot(direction, direction)) : lengths_[player];
      total_length_ += length * std::abs(game_.magnitude(player, strategy_[player]));
    }
  }

  /// Bytes of a player's strategy and of the edges at it, while the others stay.
  std::uint64_t bytes_of(std::size_t player, std::size_t strategy) const noexcept {
    std::uint64_t bytes = game_.players.bytes_of(player)[strategy];
    for (std::size_t e = first_edge_[player]; e < first_edge_[player + 1]; ++e) {
      const Edge& edge = game_.edges[edges_[e]];
      const std::size_t other = edge.a == player ? edge.b : edge.a;
      if (game_.format_of(player, strategy) != game_.format_of(other, strategy_[other])) {
        bytes += edge.bytes;
      }
    }
    return bytes;
  }

  /// Whether a player's going over keeps bytes and time within their budgets, if they are so now.
  bool fits(std::size_t player, std::size_t strategy, std::uint64_t budget) const noexcept {
    const std::uint32_t own = strategy_[player];
    return bytes_ - bytes_of(player, own) + bytes_of(player, strategy) <= budget &&
           (!game_.timed() ||
            time_ - game_.time_of(player, own) + game_.time_of(player, strategy) <=
                game_.limit.budget);
  }

  /// How F changes if the player goes over to each of its strategies; exactly 0 for its own.
  /// F(u + Δ) − F(u) = Δ·(y + ½Δ) + the change of the incoherent losses.
  /// The rounding: y is off by at most `players` roundings of the sum of all lengths, the dot
  /// products by s of theirs.
  void loss_changes(std::size_t player, std::vector<LossChange>& changes) const {
    const auto loss = game_.players.loss_of(player);
    const std::uint32_t own = strategy_[player];
    changes.resize(loss.size());
    if (!game_.coupled()) {
      for (std::size_t a = 0; a < loss.size(); ++a) changes[a] = {loss[a] - loss[own], 0};
      return;
    }
    const double relative = 2 *
                            static_cast<double>(game_.size() + 2 * game_.headings.dimension + 8) *
                            std::numeric_limits<double>::epsilon();
    const bool shared = game_.headings.shared();
    const double along = shared ? dot(y_, game_.direction(player, 0)) : 0;
    for (std::size_t a = 0; a < loss.size(); ++a) {
      double change = 0;
      double length = 0;
      if (shared) {
        const double step = game_.magnitude(player, a) - game_.magnitude(player, own);
        length = std::abs(step) * lengths_[player];
        change = std::fma(step, along, 0.5 * step * step * squares_[player]);
      } else {
        double square = 0;
        const auto to = game_.direction(player, a);
        const auto from = game_.direction(player, own);
        for (std::size_t k = 0; k < to.size(); ++k) {
          const double step = to[k] - from[k];
          change = std::fma(step, std::fma(0.5, step, y_[k]), change);
          square = std::fma(step, step, square);
        }
        length = std::sqrt(square);
      }
      const double fall = loss[a] - loss[own];
      changes[a].value = change + fall;
      changes[a].rounding = relative * (length * (total_length_ + length) + std::abs(fall));
    }
    changes[own] = {};
  }

  /// Makes a move whose change of F is known.
  void move(std::size_t player, std::uint32_t strategy, double change) noexcept {
    const std::uint32_t own = strategy_[player];
    bytes_ += bytes_of(player, strategy);
    bytes_ -= bytes_of(player, own);
    time_ += game_.time_of(player, strategy);
    time_ -= game_.time_of(player, own);
    add_heading(game_, player, own, -1.0, y_);
    add_heading(game_, player, strategy, 1.0, y_);
    strategy_[player] = strategy;
    loss_ += change;
  }

  const Game& game() const noexcept { return game_; }

 private:
  const Game& game_;
  std::vector<std::uint32_t> strategy_;
  std::vector<std::size_t> first_edge_;  // [players + 1] into edges_
  std::vector<std::size_t> edges_;       // indices into game.edges, by player
  std::uint64_t bytes_ = 0;
  std::uint64_t time_ = 0;
  double loss_ = 0;
  double total_length_ = 0;      // Σ ‖u_i‖
  std::vector<double> squares_;  // [players] ‖direction‖², if shared
  std::vector<double> lengths_;  // [players] ‖direction‖, if shared
  std::vector<double> y_;
};

/// A strategy that a player would rather have.
struct Response {
  std::uint32_t strategy = 0;
  double change = 0;  ///< of F
};

/// The strategy with the lowest cost at the price, if it is cheaper than the own one by more than
/// `epsilon` and its rounding; ties go to the lower index.
/// @param changes scratch memory
inline std::optional<Response> best_response(const RunningPlan& plan, std::size_t player,
                                             double price, double epsilon,
                                             std::vector<LossChange>& changes) {
  plan.loss_changes(player, changes);
  const std::uint64_t own = plan.bytes_of(player, plan.strategy()[player]);
  std::optional<Response> best;
  double best_change = 0;
  for (std::size_t a = 0; a < changes.size(); ++a) {
    const std::uint64_t bytes = plan.bytes_of(player, a);
    const double more =
        bytes >= own ? static_cast<double>(bytes - own) : -static_cast<double>(own - bytes);
    const double change = std::fma(price, more, changes[a].value);
    if (change < best_change && change < -(epsilon + changes[a].rounding)) {
      best_change = change;
      best = {static_cast<std::uint32_t>(a), changes[a].value};
    }
  }
  return best;
}

/// Best responses in turn, in the given order, until nobody has a better one. Every move lowers the
/// potential by more than `epsilon`, and the potential is bounded from below, so it ends.
/// @param order [players] who follows whom
inline void settle(RunningPlan& plan, double price, double epsilon,
                   std::span<const std::size_t> order) {
  std::vector<LossChange> changes;
  for (bool moved = true; moved;) {
    moved = false;
    for (const std::size_t player : order) {
      if (const auto response = best_response(plan, player, price, epsilon, changes)) {
        plan.move(player, response->strategy, response->change);
        moved = true;
      }
    }
    plan.refresh();
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
