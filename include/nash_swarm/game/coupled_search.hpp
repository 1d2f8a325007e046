#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/best_response.hpp>

namespace nash_swarm {
namespace detail {

/// A move of one player in a coupled game, seen from the present plan.
struct CoupledMove {
  std::size_t player = 0;
  std::uint32_t strategy = 0;
  double change = 0;      ///< of F
  double rounding = 0;    ///< of `change`
  std::int64_t more = 0;  ///< bytes
  double distance = 0;    ///< of the slope to the price
};

inline namespace NASH_SWARM_TARGET {

/// How many moves that free bytes, and how many that take them, are paired with each other.
inline constexpr std::size_t coupled_moves_compared = 192;
/// How often pairs are looked for anew; they mostly end by themselves.
inline constexpr std::size_t coupled_swap_rounds = 64;

/// Settles at the lowest price, found by bisection, at which the bytes fit the budget.
/// @return false if they fit at no price
inline bool settle_within(RunningPlan& plan, std::uint64_t budget, double price, double epsilon,
                          std::span<const std::size_t> order) {
  constexpr int halvings = 4;
  constexpr int doublings = 60;
  std::vector<std::uint32_t> fitting;
  double too_low = 0;
  double high_enough = 0;
  const auto fits_at = [&](double at) {
    settle(plan, at, epsilon, order);
    if (plan.bytes() > budget) {
      too_low = at;
      return false;
    }
    high_enough = at;
    fitting = plan.strategy();
    return true;
  };
  double step = price > 0 ? price / 256 : std::numeric_limits<double>::min();
  for (int i = 0; i < doublings && !fits_at(price); ++i, step *= 2) price += step;
  if (fitting.empty()) return false;
  for (int i = 0; i < halvings && too_low > 0; ++i) {
    fits_at(too_low + 0.5 * (high_enough - too_low));
  }
  plan.assign(fitting);
  return true;
}

/// Calls `visit(CoupledMove)` for every move that changes anything.
template <class Visit>
void for_each_move(const RunningPlan& plan, Visit visit) {
  std::vector<LossChange> changes;
  for (std::size_t player = 0; player < plan.game().size(); ++player) {
    plan.loss_changes(player, changes);
    const std::uint32_t own = plan.strategy()[player];
    const std::uint64_t bytes = plan.bytes_of(player, own);
    for (std::uint32_t a = 0; a < changes.size(); ++a) {
      if (a == own) continue;
      const auto more = static_cast<std::int64_t>(plan.bytes_of(player, a) - bytes);
      visit(CoupledMove{player, a, changes[a].value, changes[a].rounding, more, 0});
    }
  }
}

/// Loss saved per further byte; infinite if the move takes none.
inline double rate_of(const CoupledMove& move) noexcept {
  return move.more > 0 ? -move.change / static_cast<double>(move.more)
                       : std::numeric_limits<double>::infinity();
}

/// Every player's best move by gain per byte among those that fit and certainly lower F; the best
/// rate comes first.
inline std::vector<CoupledMove> best_moves(const RunningPlan& plan, std::uint64_t budget) {
  std::vector<CoupledMove> moves;
  const auto better = [](const CoupledMove& a, const CoupledMove& b) {
    const double rate_a = rate_of(a);
    const double rate_b = rate_of(b);
    return std::tie(rate_b, a.change, a.player) < std::tie(rate_a, b.change, b.player);
  };
  for_each_move(plan, [&](const CoupledMove& move) {
    if (!(move.change < -move.rounding) || !plan.fits(move.player, move.strategy, budget)) return;
    if (moves.empty() || moves.back().player != move.player) {
      moves.push_back(move);
    } else if (better(move, moves.back())) {
      moves.back() = move;
    }
  });
  std::sort(moves.begin(), moves.end(), better);
  return moves;
}

/// Makes single moves within the budget, in passes with the best gain per byte first, until none
/// certainly lowers F. That is judged by sums from scratch, as the certificate does.
inline void make_single_moves(RunningPlan& plan, std::uint64_t budget) {
  std::vector<LossChange> changes;
  for (plan.refresh();; plan.refresh()) {
    const std::vector<CoupledMove> moves = best_moves(plan, budget);
    if (moves.empty()) return;
    for (const CoupledMove& move : moves) {
      // The moves before have changed what this one brings and what fits.
      plan.loss_changes(move.player, changes);
      const LossChange& change = changes[move.strategy];
      if (change.falls() && plan.fits(move.player, move.strategy, budget)) {
        plan.move(move.player, move.strategy, change.value);
      }
    }
  }
}

/// The moves closest in slope to the price: those that free bytes for loss, or take bytes for less.
inline std::vector<CoupledMove> closest_moves(const RunningPlan& plan, double price, bool freeing) {
  std::vector<CoupledMove> closest;
  const auto closer = [](const CoupledMove& a, const CoupledMove& b) {
    return std::tie(a.distance, a.player, a.strategy) < std::tie(b.distance, b.player, b.strategy);
  };
  for_each_move(plan, [&](CoupledMove move) {
    if (move.more == 0 || (move.more < 0) != freeing || (move.change > 0) != freeing) return;
    move.distance = std::abs(move.change / static_cast<double>(move.more) + price);
    if (closest.size() == coupled_moves_compared) {
      if (!closer(move, closest.front())) return;
      std::pop_heap(closest.begin(), closest.end(), closer);
      closest.pop_back();
    }
    closest.push_back(move);
    std::push_heap(closest.begin(), closest.end(), closer);
  });
  std::sort(closest.begin(), closest.end(), closer);
  return closest;
}

/// Δu_a · Δu_b: what two moves add to F beyond what each does alone.
inline double interaction(const RunningPlan& plan, const CoupledMove& a, const CoupledMove& b) {
  const Game& game = plan.game();
  const std::uint32_t own_a = plan.strategy()[a.player];
  const std::uint32_t own_b = plan.strategy()[b.player];
  if (game.headings.shared()) {
    return (game.magnitude(a.player, a.strategy) - game.magnitude(a.player, own_a)) *
           (game.magnitude(b.player, b.strategy) - game.magnitude(b.player, own_b)) *
           dot(game.direction(a.player, 0), game.direction(b.player, 0));
  }
  const auto to_a = game.direction(a.player, a.strategy);
  const auto from_a = game.direction(a.player, own_a);
  const auto to_b = game.direction(b.player, b.strategy);
  const auto from_b = game.direction(b.player, own_b);
  double sum = 0;
  for (std::size_t k = 0; k < to_a.size(); ++k) {
    sum = std::fma(to_a[k] - from_a[k], to_b[k] - from_b[k], sum);
  }
  return sum;
}

/// Makes the best swap of two of the moves closest to the price: one frees bytes, one takes them.
/// @return whether there was one
inline bool make_swap(RunningPlan& plan, std::uint64_t budget, double price) {
  const std::vector<CoupledMove> giving = closest_moves(plan, price, true);
  const std::vector<CoupledMove> taking = closest_moves(plan, price, false);
  const auto free = static_cast<std::int64_t>(budget - plan.bytes());
  const CoupledMove* best_give = nullptr;
  const CoupledMove* best_take = nullptr;
  double best_change = 0;
  for (const CoupledMove& give : giving) {
    for (const CoupledMove& take : taking) {
      if (give.player == take.player || give.more + take.more > free) continue;
      const double change =
          give.change + take.change + (plan.game().coupled() ? interaction(plan, give, take) : 0.0);
      if (change < best_change && change < -2 * (give.rounding + take.rounding)) {
        best_change = change;
        best_give = &give;
        best_take = &take;
      }
    }
  }
  if (best_give == nullptr) return false;
  const double loss = plan.loss();
  const std::vector<std::uint32_t> before = plan.strategy();
  plan.move(best_give->player, best_give->strategy, 0);
  plan.move(best_take->player, best_take->strategy, 0);
  plan.refresh();
  // Neighbours share edges, which the bytes of two single moves do not see.
  if (plan.bytes() <= budget && plan.loss() < loss) return true;
  plan.assign(before);
  return false;
}

/// Single moves and swaps under the budget until neither helps; single moves come last, so that no
/// feasible move of one player certainly lowers F afterwards (epsilon is 0).
inline void improve_within(RunningPlan& plan, std::uint64_t budget, double price) {
  make_single_moves(plan, budget);
  for (std::size_t round = 0; round < coupled_swap_rounds && make_swap(plan, budget, price);
       ++round) {
    make_single_moves(plan, budget);
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
