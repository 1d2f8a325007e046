#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// All plans of a game, one player after the other.
class Enumeration {
 public:
  Enumeration(const Game& game, std::uint64_t budget)
      : game_(game),
        budget_(budget),
        plan_(game.size()),
        sums_(game.size() + 1, std::vector<double>(game.headings.dimension)) {}

  /// Tries all choices of the players from this one on; the others take bytes and have losses.
  void visit(std::size_t player, std::uint64_t bytes, double loss) {
    if (bytes > budget_) return;
    if (player == game_.size()) {
      const double all = std::fma(0.5, dot(sums_[player], sums_[player]), loss);
      if (all < best_loss_) {
        best_loss_ = all;
        best_ = plan_;
      }
      return;
    }
    for (std::uint32_t a = 0; a < game_.players.bytes_of(player).size(); ++a) {
      plan_[player] = a;
      sums_[player + 1] = sums_[player];
      add_heading(game_, player, a, 1.0, sums_[player + 1]);
      visit(player + 1, bytes + game_.players.bytes_of(player)[a] + edges_before(player),
            loss + game_.players.loss_of(player)[a]);
    }
  }

  /// Empty if none fits.
  const std::vector<std::uint32_t>& best() const noexcept { return best_; }

 private:
  std::uint64_t edges_before(std::size_t player) const {
    std::uint64_t bytes = 0;
    for (const Edge& edge : game_.edges) {
      if (std::max(edge.a, edge.b) == player) bytes += edge_bytes(game_, plan_, edge);
    }
    return bytes;
  }

  const Game& game_;
  std::uint64_t budget_;
  std::vector<std::uint32_t> plan_;
  std::vector<std::vector<double>> sums_;  // [players + 1, s], of the first players
  double best_loss_ = std::numeric_limits<double>::infinity();
  std::vector<std::uint32_t> best_;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Tries every plan: the optimum of tiny games, headings and edges included.
/// @throws Error for a bad game, a time limit, a budget that no plan fits, and for more than 10^7
///         plans
inline Allocation exhaustive_allocation(const Game& game, std::uint64_t budget, std::uint64_t = 0) {
  detail::check_untimed(game);
  constexpr std::size_t most_plans = 10'000'000;
  std::size_t plans = 1;
  for (std::size_t player = 0; player < game.size(); ++player) {
    const std::size_t strategies = game.players.bytes_of(player).size();
    if (strategies > most_plans / plans) {
      throw Error("exhaustive search",
                  "the game has more than " + std::to_string(most_plans) + " plans",
                  "take another method for a game of this size");
    }
    plans *= strategies;
  }
  detail::Enumeration enumeration(game, budget);
  enumeration.visit(0, 0, 0);
  if (enumeration.best().size() != game.size()) throw detail::budget_too_small(game, budget);
  return detail::finished(game, enumeration.best());
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
