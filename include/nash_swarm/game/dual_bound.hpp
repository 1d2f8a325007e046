#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/lower_hull.hpp>
#include <nash_swarm/game/potential.hpp>

namespace nash_swarm {
namespace detail {

/// What the players that have chosen take and suffer.
struct Chosen {
  std::uint64_t free_bytes = 0;  ///< of the budget
  double loss = 0;               ///< Σ loss_i
  std::vector<double> sum;       ///< [s] Σ u_i
};

/// A point of the dual with the bound that it proves.
struct DualPoint {
  double bound = 0;
  double price = 0;
  std::vector<double> y;  ///< [s]
};

/// One step along the hull of one player's linearised losses.
struct LinearStep {
  double slope = 0;
  std::uint64_t bytes = 0;
  std::size_t player = 0;
  std::uint32_t from = 0;
  std::uint32_t to = 0;
};

inline namespace NASH_SWARM_TARGET {

/// The Lagrangian bound of a game in which some players have chosen. For every y and price λ ≥ 0,
/// with Y, R and C the sum, the loss and the bytes of those who have,
///
///     F ≥ R + y·Y − ½‖y‖² − λ(B − C) + Σ_others min_a [y·u_i(a) + loss_i(a) + λ·bytes_i(a)].
class DualBound {
 public:
  explicit DualBound(const Game& game)
      : game_(game),
        bytes_(game.players.bytes.begin(), game.players.bytes.end()),
        value_(bytes_.size()) {
    for (std::size_t player = 0; player < game.size() && game.coupled(); ++player) {
      double longest = 0;
      for (std::uint32_t a = 0; a < strategies(player); ++a) {
        const auto direction = game.direction(player, a);
        const double length = std::sqrt(dot(direction, direction));
        longest = std::max(longest, length * std::abs(game.magnitude(player, a)));
      }
      longest_sum_ += longest;
    }
  }

  /// Bytes of a player's strategies. Whoever fixes choices adds the edges to them.
  std::span<const std::uint64_t> bytes_of(std::size_t player) const {
    return std::span(bytes_).subspan(game_.players.first[player], strategies(player));
  }
  std::span<std::uint64_t> bytes_of(std::size_t player) {
    return std::span(bytes_).subspan(game_.players.first[player], strategies(player));
  }

  /// Raises the bound from the point given until it reaches `enough`: y moves halfway to the sum of
  /// the headings that answer it, and the price clears the market at y.
  /// The others must fit the free bytes with their fewest.
  void raise(const Chosen& chosen, std::span<const std::size_t> others, double enough, int rounds,
             DualPoint& point) {
    linearise(others, point.y);
    point.bound = bound_at(chosen, others, point.y, point.price);
    trial_ = point.y;
    double step = 0.5;
    for (int round = 0; round < rounds && point.bound < enough; ++round) {
      if (round > 0) linearise(others, trial_);
      const double price = clear_market(chosen, others);
      const double bound = bound_at(chosen, others, trial_, price);
      if (bound > point.bound) {
        point = {bound, price, trial_};
      } else if (round > 0) {
        step /= 2;
      }
      if (!game_.coupled()) return;  // one price is the best there is
      for (std::size_t k = 0; k < trial_.size(); ++k) {
        trial_[k] = std::fma(step, response_[k] - trial_[k], trial_[k]);
      }
    }
  }

  /// Costs y·u + loss + price · bytes of the strategies of a player, [strategies].
  void costs(std::size_t player, const DualPoint& point, std::vector<double>& cost) {
    linearise(std::span(&player, 1), point.y);
    cost.resize(strategies(player));
    for (std::uint32_t a = 0; a < cost.size(); ++a) cost[a] = cost_at(player, a, point.price);
  }

  /// At least the rounding error of two costs of this total magnitude at y.
  double cost_rounding(double magnitude, std::span<const double> y) const {
    return rounding(std::fma(2 * std::sqrt(dot(y, y)), longest_sum_, magnitude));
  }

 private:
  std::uint32_t strategies(std::size_t player) const {
    return static_cast<std::uint32_t>(game_.players.bytes_of(player).size());
  }
  std::size_t row(std::size_t player, std::uint32_t a) const {
    return game_.players.first[player] + a;
  }
  double cost_at(std::size_t player, std::uint32_t a, double price) const {
    const std::size_t s = row(player, a);
    return std::fma(price, static_cast<double>(bytes_[s]), value_[s]);
  }
  double rounding(double magnitude) const {
    const auto operations = static_cast<double>(game_.headings.dimension + game_.size() + 16);
    return operations * std::numeric_limits<double>::epsilon() * magnitude;
  }

  /// Writes y·u + loss of the players to `value_`.
  void linearise(std::span<const std::size_t> players, std::span<const double> y) {
    for (const std::size_t player : players) {
      const auto loss = game_.players.loss_of(player);
      double along = 0;
      for (std::uint32_t a = 0; a < loss.size(); ++a) {
        const bool turns = a == 0 || !game_.headings.shared();
        if (game_.coupled() && turns) along = dot(y, game_.direction(player, a));
        value_[row(player, a)] = std::fma(along, game_.magnitude(player, a), loss[a]);
      }
    }
  }

  /// The bound at y and a price, with the losses of `value_`, lowered by its rounding.
  double bound_at(const Chosen& chosen, std::span<const std::size_t> others,
                  std::span<const double> y, double price) const {
    const double square = dot(y, y);
    const double paid = price * static_cast<double>(chosen.free_bytes);
    double bound = std::fma(-price, static_cast<double>(chosen.free_bytes),
                            std::fma(-0.5, square, chosen.loss + dot(y, chosen.sum)));
    double magnitude = chosen.loss + square + paid;
    for (const std::size_t player : others) {
      double least = std::numeric_limits<double>::infinity();
      for (std::uint32_t a = 0; a < strategies(player); ++a) {
        least = std::min(least, cost_at(player, a, price));
      }
      bound += least;
      magnitude += std::abs(least);
    }
    return bound - cost_rounding(magnitude, y);
  }

  /// The price at which the demand for bytes, with the losses of `value_`, meets the free ones. The
  /// sum of headings of that demand goes to `response_`; the last step is divided so that no byte
  /// stays free.
  double clear_market(const Chosen& chosen, std::span<const std::size_t> others) {
    std::uint64_t free = chosen.free_bytes;
    response_ = chosen.sum;
    steps_.clear();
    for (const std::size_t player : others) {
      lower_hull(bytes_of(player),
                 std::span(value_).subspan(game_.players.first[player], strategies(player)), hull_);
      free -= hull_[0].bytes;
      add_heading(game_, player, hull_[0].strategy, 1, response_);
      for (std::size_t v = 1; v < hull_.size(); ++v) {
        steps_.push_back({hull_[v].slope, hull_[v].bytes - hull_[v - 1].bytes, player,
                          hull_[v - 1].strategy, hull_[v].strategy});
      }
    }
    std::sort(steps_.begin(), steps_.end(), [](const LinearStep& a, const LinearStep& b) {
      return a.slope > b.slope || (a.slope == b.slope && a.player < b.player);
    });
    for (const LinearStep& step : steps_) {
      const double part =
          step.bytes <= free ? 1 : static_cast<double>(free) / static_cast<double>(step.bytes);
      add_heading(game_, step.player, step.from, -part, response_);
      add_heading(game_, step.player, step.to, part, response_);
      if (step.bytes > free) return step.slope;
      free -= step.bytes;
    }
    return 0;
  }

  const Game& game_;
  std::vector<std::uint64_t> bytes_;  // [strategies], with edges to players that have chosen
  std::vector<double> value_;         // [strategies] y·u + loss
  std::vector<double> response_;      // [s]
  std::vector<double> trial_;         // [s]
  std::vector<LinearStep> steps_;
  std::vector<HullVertex> hull_;
  double longest_sum_ = 0;  // Σ_i max_a ‖u_i(a)‖
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
