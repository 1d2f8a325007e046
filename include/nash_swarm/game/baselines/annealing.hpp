#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/baselines/uniform.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>
#include <nash_swarm/game/swarm.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Simulated annealing of one plan within the budget.
class Annealer {
 public:
  Annealer(const Game& game, std::uint64_t budget, std::vector<std::uint32_t> start,
           std::uint64_t seed)
      : game_(game), budget_(budget), plan_(game, std::move(start)), random_(seed) {
    best_ = plan_.strategy();
    best_loss_ = plan_.loss();
  }

  /// As many moves as there are players, nine of ten of them of two players at once.
  void sweep(double temperature) {
    for (std::size_t k = 0; k < game_.size(); ++k) {
      const Move first = random_move();
      if (random_.uniform() < 0.1) {
        if (!fits() || !accepts(first.change, temperature)) take_back(first);
        continue;
      }
      const Move second = random_move();
      if (fits() && accepts(first.change + second.change, temperature)) continue;
      take_back(second);
      take_back(first);
    }
    plan_.refresh();
    if (plan_.loss() < best_loss_) {
      best_loss_ = plan_.loss();
      best_ = plan_.strategy();
    }
  }

  const RunningPlan& plan() const noexcept { return plan_; }
  const std::vector<std::uint32_t>& best() const noexcept { return best_; }

 private:
  struct Move {
    std::size_t player = 0;
    std::uint32_t from = 0;
    double change = 0;
  };

  Move random_move() {
    const auto player = static_cast<std::size_t>(random_.below(game_.size()));
    const auto to =
        static_cast<std::uint32_t>(random_.below(game_.players.bytes_of(player).size()));
    plan_.loss_changes(player, changes_);
    const Move move{player, plan_.strategy()[player], changes_[to].value};
    plan_.move(player, to, move.change);
    return move;
  }
  void take_back(const Move& move) { plan_.move(move.player, move.from, -move.change); }

  bool fits() const { return plan_.bytes() <= budget_; }
  bool accepts(double change, double temperature) {
    return change <= 0 || random_.uniform() < std::exp(-change / temperature);
  }

  const Game& game_;
  std::uint64_t budget_;
  RunningPlan plan_;
  FlockRandom random_;
  std::vector<LossChange> changes_;
  std::vector<std::uint32_t> best_;
  double best_loss_ = 0;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Simulated annealing (Kirkpatrick, Gelatt and Vecchi 1983), as ExLlamaV2 plans its bits: from the
/// uniform plan, random moves of one or two players within the budget while a temperature falls
/// geometrically from the mean loss of a player to a ten-thousandth of it. 1,000 moves per player,
/// then the best plan of all sweeps. Deterministic in the seed.
/// O(1000 · players · (s + strategies))
/// @throws Error for a bad game, a time limit, and a budget below the cheapest plan
inline Allocation annealing_allocation(const Game& game, std::uint64_t budget,
                                       std::uint64_t seed = 0) {
  constexpr int sweeps = 1000;
  detail::Annealer annealer(game, budget, uniform_allocation(game, budget).strategy, seed);
  if (game.size() > 0) {
    double temperature = annealer.plan().loss() / static_cast<double>(game.size());
    const double cooling = std::pow(1e-4, 1.0 / (sweeps - 1));
    for (int sweep = 0; sweep < sweeps; ++sweep, temperature *= cooling) {
      annealer.sweep(temperature);
    }
  }
  return detail::finished(game, annealer.best());
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
