#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/cheapest_plan.hpp>
#include <nash_swarm/game/dual_bound.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Depth-first branch and bound. Edges of a player that has chosen are bytes of its neighbours'
/// strategies from then on, so that the bound counts them too.
class BranchAndBound {
 public:
  BranchAndBound(const Game& game, std::uint64_t budget, double price, std::span<const double> y)
      : game_(game), dual_(game), choice_(game.size()), nodes_(game.size() + 1) {
    for (std::size_t player = 0; player < game.size(); ++player) order_.push_back(player);
    Node& root = nodes_[0];
    root.chosen = {budget, 0, std::vector<double>(game.headings.dimension)};
    root.point = {0, price, root.chosen.sum};
    std::copy(y.begin(), y.end(), root.point.y.begin());
  }

  /// @return whether any plan fits the budget
  bool solve() {
    search(0);
    return best_loss_ < std::numeric_limits<double>::infinity();
  }

  /// The best plan with the dual point of the root.
  Allocation allocation() const {
    Allocation allocation;
    allocation.strategy = best_;
    allocation.price = nodes_[0].point.price;
    allocation.y = nodes_[0].point.y;
    return allocation;
  }

 private:
  struct Node {
    Chosen chosen;
    DualPoint point;
    std::vector<double> cost;                                ///< of the player that chooses here
    std::vector<std::pair<double, std::uint32_t>> children;  ///< cost above the least, strategy
  };

  /// Dual points tried per node. The root's is worth more: all others start from it.
  static constexpr int root_rounds = 40;
  static constexpr int node_rounds = 3;

  /// A subtree with this bound is left out: what it could gain is at most 0.5e-12 of the loss.
  double enough() const { return best_loss_ * (1 - 0.5e-12); }
  bool is_cut(double bound) const { return std::max(0.0, bound) >= enough(); }

  std::span<const std::size_t> others(std::size_t depth) const {
    return std::span(order_).subspan(depth);
  }

  /// Whether the players that have not chosen fit at all.
  bool fits(std::size_t depth) const {
    std::uint64_t smallest = 0;
    for (const std::size_t player : others(depth)) {
      smallest += std::ranges::min(dual_.bytes_of(player));
    }
    return smallest <= nodes_[depth].chosen.free_bytes;
  }

  void search(std::size_t depth) {
    Node& node = nodes_[depth];
    if (depth == game_.size()) {
      const auto& [free, loss, sum] = node.chosen;
      const double all = std::fma(0.5, dot(sum, sum), loss);
      if (all < best_loss_) {
        best_loss_ = all;
        best_ = choice_;
      }
      return;
    }
    if (!fits(depth)) return;
    const int rounds = depth == 0 ? root_rounds : node_rounds;
    dual_.raise(node.chosen, others(depth), enough(), rounds, node.point);
    if (is_cut(node.point.bound)) return;
    choose_player(depth);
    branch(depth);
  }

  /// Brings forward the player to branch on: the one whose second best strategy costs most above
  /// its best, since a wrong choice there is found out at once.
  void choose_player(std::size_t depth) {
    Node& node = nodes_[depth];
    double widest = -1;
    std::size_t chosen = depth;
    for (std::size_t k = depth; k < order_.size(); ++k) {
      dual_.costs(order_[k], node.point, node.cost);
      double least = std::numeric_limits<double>::infinity();
      double second = least;
      for (const double cost : node.cost) {
        second = std::min(second, std::max(least, cost));
        least = std::min(least, cost);
      }
      if (second - least <= widest) continue;
      widest = second - least;
      chosen = k;
    }
    std::swap(order_[depth], order_[chosen]);
    dual_.costs(order_[depth], node.point, node.cost);
  }

  /// Tries the strategies of the chosen player, the cheapest first. Leaving the least cost raises
  /// the bound by the difference, so that many children end without a bound of their own.
  void branch(std::size_t depth) {
    Node& node = nodes_[depth];
    Node& child = nodes_[depth + 1];
    const std::size_t player = order_[depth];
    const double least = std::ranges::min(node.cost);
    node.children.clear();
    for (std::uint32_t a = 0; a < node.cost.size(); ++a) {
      node.children.emplace_back(node.cost[a] - least, a);
    }
    std::sort(node.children.begin(), node.children.end());
    for (const auto& [excess, a] : node.children) {
      const double magnitude = std::abs(least) + std::abs(node.cost[a]);
      const double rounding = dual_.cost_rounding(magnitude, node.point.y);
      if (is_cut(node.point.bound + excess - rounding)) return;
      const std::uint64_t bytes = std::as_const(dual_).bytes_of(player)[a];
      if (bytes > node.chosen.free_bytes) continue;
      child.point = node.point;
      child.chosen = node.chosen;
      child.chosen.free_bytes -= bytes;
      child.chosen.loss += game_.players.loss_of(player)[a];
      add_heading(game_, player, a, 1, child.chosen.sum);
      choice_[player] = a;
      charge_edges(depth, true);
      search(depth + 1);
      charge_edges(depth, false);
    }
  }

  /// Adds the bytes of edges between the player that chose and those that have not, or takes them
  /// away again.
  void charge_edges(std::size_t depth, bool add) {
    const std::size_t player = order_[depth];
    const std::uint32_t format = game_.format_of(player, choice_[player]);
    for (const Edge& edge : game_.edges) {
      if (edge.a != player && edge.b != player) continue;
      const std::size_t other = edge.a == player ? edge.b : edge.a;
      if (std::ranges::count(others(depth + 1), other) == 0) continue;
      const auto bytes = dual_.bytes_of(other);
      for (std::uint32_t b = 0; b < bytes.size(); ++b) {
        if (game_.format_of(other, b) == format) continue;
        bytes[b] = add ? bytes[b] + edge.bytes : bytes[b] - edge.bytes;
      }
    }
  }

  const Game& game_;
  DualBound dual_;
  std::vector<std::size_t> order_;  // the players that have chosen, in turn, then the others
  std::vector<std::uint32_t> choice_;
  std::vector<Node> nodes_;  // by depth
  double best_loss_ = std::numeric_limits<double>::infinity();
  std::vector<std::uint32_t> best_;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// The plan with the smallest loss within the budget, for games of up to about 12 players, headings
/// and edges included: depth-first branch and bound on the Lagrangian dual (Land and Doig 1960;
/// Geoffrion 1974, "Lagrangean relaxation for integer programming"). Every node raises its bound by
/// a few fixed-point steps of y with the price that clears the market there. The loss is at most
/// 1e-12 of it above the optimum; ties may go to any of the plans, always to the same. The price
/// and y returned are the best dual point found at the root. Exponential in the players at worst.
/// @param price, y: where the search for the dual point starts; y may be empty
/// @throws Error for a bad game, price or y, a time limit, and for a budget that no plan fits
inline Allocation allocate_exactly(const Game& game, std::uint64_t budget, double price = 0,
                                   std::span<const double> y = {}) {
  check(game);
  if (game.timed()) {
    throw Error("time limit", "the exact search knows no budget but bytes",
                "add what time costs to the losses");
  }
  if (!std::isfinite(price) || price < 0) {
    throw Error("price", std::to_string(price) + " is not a price",
                "give a finite number that is 0 or more");
  }
  const auto finite = [](double value) { return std::isfinite(value); };
  if ((!y.empty() && y.size() != game.headings.dimension) || !std::ranges::all_of(y, finite)) {
    throw Error(
        "y", "it is no vector of " + std::to_string(game.headings.dimension) + " finite numbers");
  }
  detail::BranchAndBound search(game, budget, price, y);
  if (!search.solve()) throw detail::budget_too_small(game, budget);
  return search.allocation();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
