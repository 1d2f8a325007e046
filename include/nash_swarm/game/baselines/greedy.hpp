#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {

/// A move that lowers F.
struct GreedyMove {
  double rate = 0;  ///< fall of F per byte; infinite if the move takes no further byte
  double fall = 0;
  std::size_t player = 0;
  std::uint32_t strategy = 0;
};

inline namespace NASH_SWARM_TARGET {

inline bool worse(const GreedyMove& a, const GreedyMove& b) noexcept {
  return std::tie(a.rate, a.fall, b.player) < std::tie(b.rate, b.fall, a.player);
}

/// The move of a player that fits with the largest fall of F per byte; ties go to the larger fall,
/// then to the lower index.
/// @param changes scratch memory
inline std::optional<GreedyMove> greedy_move(const RunningPlan& plan, std::size_t player,
                                             std::uint64_t budget,
                                             std::vector<LossChange>& changes) {
  plan.loss_changes(player, changes);
  const std::uint64_t own = plan.bytes_of(player, plan.strategy()[player]);
  std::optional<GreedyMove> best;
  for (std::uint32_t a = 0; a < changes.size(); ++a) {
    if (!changes[a].falls()) continue;
    const std::uint64_t bytes = plan.bytes_of(player, a);
    const std::uint64_t cost = bytes > own ? bytes - own : 0;
    if (cost > budget - plan.bytes()) continue;
    const double fall = -changes[a].value;
    const double rate =
        cost == 0 ? std::numeric_limits<double>::infinity() : fall / static_cast<double>(cost);
    const GreedyMove move{rate, fall, player, a};
    if (!best || worse(*best, move)) best = move;
  }
  return best;
}

/// Makes moves until those known when the pass began are used up.
/// @return whether there was any
inline bool greedy_pass(RunningPlan& plan, std::uint64_t budget) {
  std::vector<LossChange> changes;
  std::vector<GreedyMove> heap;
  for (std::size_t player = 0; player < plan.game().size(); ++player) {
    if (const auto move = greedy_move(plan, player, budget, changes)) heap.push_back(*move);
  }
  std::make_heap(heap.begin(), heap.end(), worse);
  bool any = false;
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), worse);
    const std::size_t player = heap.back().player;
    heap.pop_back();
    auto move = greedy_move(plan, player, budget, changes);
    if (!move) continue;
    if (heap.empty() || !worse(*move, heap.front())) {
      plan.move(player, move->strategy, -move->fall);
      any = true;
      move = greedy_move(plan, player, budget, changes);
      if (!move) continue;
    }
    heap.push_back(*move);
    std::push_heap(heap.begin(), heap.end(), worse);
  }
  return any;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// From the cheapest plan, always the move with the largest fall of F per byte, until nothing that
/// fits lowers F. Moves wait in a heap and are looked at again when they come to the top (lazy
/// greedy, Minoux 1978), which is exact without coupling.
/// O(moves · (s + strategies + log players)), about
/// @throws Error for a bad game, a time limit, and a budget below the cheapest plan
inline Allocation greedy_allocation(const Game& game, std::uint64_t budget, std::uint64_t = 0) {
  detail::RunningPlan plan(game, detail::starting_plan(game, budget));
  while (detail::greedy_pass(plan, budget)) plan.refresh();
  return detail::finished(game, plan.strategy());
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
