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
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/lower_hull.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {
namespace detail {

/// A node of the search tree: what the players that have chosen take and suffer, and the best dual
/// bound that is known for the rest.
struct SearchNode {
  std::uint64_t free_bytes = 0;  ///< of the budget
  double loss = 0;               ///< Σ loss_i of the players that have chosen
  std::vector<double> sum;       ///< [s] Σ u_i of the players that have chosen
  double bound = 0;              ///< no completion has a smaller loss
  double price = 0;
  std::vector<double> y;
  std::vector<double> cost;  ///< [strategies] y·u + loss + price·bytes, of the other players
  std::vector<std::pair<double, std::uint32_t>> children;  ///< cost above the least, strategy
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

/// Depth-first branch and bound on the Lagrangian dual. For every y and price λ ≥ 0, and with the
/// choices of some players fixed to the sum Y, the loss R and the bytes C,
///
///     F ≥ R + y·Y − ½‖y‖² − λ(B − C) + Σ_others min_a [y·u_i(a) + loss_i(a) + λ·bytes_i(a)].
///
/// Edges of a player that has chosen are bytes of its neighbours' strategies from then on.
class BranchAndBound {
 public:
  BranchAndBound(const Game& game, std::uint64_t budget, double price, std::span<const double> y)
      : game_(game),
        dimension_(game.headings.dimension),
        bytes_(game.players.bytes.begin(), game.players.bytes.end()),
        value_(bytes_.size()),
        response_(dimension_),
        trial_(dimension_),
        choice_(game.size()),
        nodes_(game.size() + 1) {
    for (std::size_t player = 0; player < game.size(); ++player) order_.push_back(player);
    for (SearchNode& node : nodes_) {
      node.sum.resize(dimension_);
      node.y.resize(dimension_);
      node.cost.resize(bytes_.size());
    }
    nodes_[0].free_bytes = budget;
    nodes_[0].price = price;
    std::copy(y.begin(), y.end(), nodes_[0].y.begin());
    for (std::size_t player = 0; player < game.size(); ++player) {
      double longest = 0;
      for (std::uint32_t a = 0; a < strategies(player); ++a) {
        const auto direction = game.direction(player, a);
        const double length = std::sqrt(dot(direction, direction));
        longest = std::max(longest, length * std::abs(game.magnitude(player, a)));
      }
      longest_sum_ += longest;
    }
  }

  /// @return whether any plan fits the budget
  bool solve() {
    search(0);
    return best_loss_ < std::numeric_limits<double>::infinity();
  }

  /// The best plan with the dual point of the root, which proves the best bound of them all.
  Allocation allocation() const { return {best_, nodes_[0].price, nodes_[0].y}; }

 private:
  /// Dual points tried per node. The root's is worth more: all others start from it.
  static constexpr int root_rounds = 40;
  static constexpr int node_rounds = 3;
  /// A subtree that cannot be better by more than this part of the loss is left out.
  static constexpr double negligible = 0.5e-12;

  std::uint32_t strategies(std::size_t player) const {
    return static_cast<std::uint32_t>(game_.players.bytes_of(player).size());
  }
  std::size_t row(std::size_t player, std::uint32_t a) const {
    return game_.players.first[player] + a;
  }
  std::span<const std::uint64_t> bytes_of(std::size_t player) const {
    return std::span(bytes_).subspan(game_.players.first[player], strategies(player));
  }
  std::span<const std::size_t> others(std::size_t depth) const {
    return std::span(order_).subspan(depth);
  }

  /// At least the rounding error of a bound whose terms have this total magnitude.
  double rounding(double magnitude) const {
    const auto operations = static_cast<double>(dimension_ + game_.size() + 16);
    return operations * std::numeric_limits<double>::epsilon() * magnitude;
  }
  bool cut(double bound) const { return bound >= best_loss_ * (1 - negligible); }

  /// Writes y·u + loss of the players that have not chosen to `value_`.
  void linearise(std::size_t depth, std::span<const double> y) {
    for (const std::size_t player : others(depth)) {
      const auto loss = game_.players.loss_of(player);
      const bool shared = game_.headings.shared();
      double product = dimension_ == 0 ? 0 : dot(y, game_.direction(player, 0));
      for (std::uint32_t a = 0; a < loss.size(); ++a) {
        if (!shared && dimension_ != 0 && a > 0) product = dot(y, game_.direction(player, a));
        value_[row(player, a)] = std::fma(product, game_.magnitude(player, a), loss[a]);
      }
    }
  }

  /// The price at which the demand for bytes, with the losses of `value_`, meets the free ones; the
  /// sum of headings of that demand, the last step divided so that no byte stays free, goes to
  /// `response_`.
  double clear_market(std::size_t depth) {
    const SearchNode& node = nodes_[depth];
    std::uint64_t free = node.free_bytes;
    response_ = node.sum;
    steps_.clear();
    for (const std::size_t player : others(depth)) {
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

  /// The bound at y and a price, with the losses of `value_`, lowered by its rounding.
  double dual(std::size_t depth, std::span<const double> y, double price) const {
    const SearchNode& node = nodes_[depth];
    const double square = dot(y, y);
    const double paid = price * static_cast<double>(node.free_bytes);
    double bound = std::fma(-0.5, square, node.loss + dot(y, node.sum)) - paid;
    double magnitude = std::fma(2 * std::sqrt(square), longest_sum_, node.loss + square + paid);
    for (const std::size_t player : others(depth)) {
      double least = std::numeric_limits<double>::infinity();
      for (std::uint32_t a = 0; a < strategies(player); ++a) {
        const std::size_t s = row(player, a);
        least = std::min(least, std::fma(price, static_cast<double>(bytes_[s]), value_[s]));
      }
      bound += least;
      magnitude += std::abs(least);
    }
    return bound - rounding(magnitude);
  }

  /// Raises the bound of a node, from the dual point it holds: y moves halfway to the sum that
  /// answers it, and the price clears the market at y.
  void raise_bound(std::size_t depth) {
    SearchNode& node = nodes_[depth];
    linearise(depth, node.y);
    node.bound = std::max(0.0, dual(depth, node.y, node.price));
    trial_ = node.y;
    double step = 0.5;
    const int rounds = depth == 0 ? root_rounds : node_rounds;
    for (int round = 0; round < rounds && !cut(node.bound); ++round) {
      if (round > 0) linearise(depth, trial_);
      const double price = clear_market(depth);
      const double bound = dual(depth, trial_, price);
      if (bound > node.bound) {
        node.bound = bound;
        node.price = price;
        node.y = trial_;
      } else if (round > 0) {
        step /= 2;
      }
      for (std::size_t k = 0; k < dimension_; ++k) {
        trial_[k] = std::fma(step, response_[k] - trial_[k], trial_[k]);
      }
      if (dimension_ == 0) break;
    }
  }

  /// Writes the costs at the node's dual point and brings forward the player to branch on: the one
  /// whose second best strategy costs most above its best.
  void choose_player(std::size_t depth) {
    SearchNode& node = nodes_[depth];
    linearise(depth, node.y);
    double widest = -1;
    std::size_t chosen = depth;
    for (std::size_t k = depth; k < order_.size(); ++k) {
      const std::size_t player = order_[k];
      double least = std::numeric_limits<double>::infinity();
      double second = least;
      for (std::uint32_t a = 0; a < strategies(player); ++a) {
        const std::size_t s = row(player, a);
        node.cost[s] = std::fma(node.price, static_cast<double>(bytes_[s]), value_[s]);
        if (node.cost[s] < least) {
          second = std::exchange(least, node.cost[s]);
        } else {
          second = std::min(second, node.cost[s]);
        }
      }
      if (second - least > widest) {
        widest = second - least;
        chosen = k;
      }
    }
    std::swap(order_[depth], order_[chosen]);
  }

  /// Adds the bytes of edges between the choice of a player and those who have not chosen, or takes
  /// them away again.
  void charge_edges(std::size_t depth, bool add) {
    const std::size_t player = order_[depth];
    for (const Edge& edge : game_.edges) {
      if (edge.a != player && edge.b != player) continue;
      const std::size_t other = edge.a == player ? edge.b : edge.a;
      const auto still_to_choose = others(depth + 1);
      if (std::ranges::find(still_to_choose, other) == still_to_choose.end()) continue;
      for (std::uint32_t b = 0; b < strategies(other); ++b) {
        if (game_.format_of(other, b) == game_.format_of(player, choice_[player])) continue;
        std::uint64_t& bytes = bytes_[row(other, b)];
        bytes = add ? bytes + edge.bytes : bytes - edge.bytes;
      }
    }
  }

  /// Whether the players that have not chosen fit at all.
  bool fits(std::size_t depth) const {
    std::uint64_t smallest = 0;
    for (const std::size_t player : others(depth)) smallest += std::ranges::min(bytes_of(player));
    return smallest <= nodes_[depth].free_bytes;
  }

  void search(std::size_t depth) {
    SearchNode& node = nodes_[depth];
    if (depth == game_.size()) {
      const double loss = std::fma(0.5, dot(node.sum, node.sum), node.loss);
      if (loss < best_loss_) {
        best_loss_ = loss;
        best_ = choice_;
      }
      return;
    }
    if (!fits(depth)) return;
    raise_bound(depth);
    if (cut(node.bound)) return;
    choose_player(depth);
    branch(depth);
  }

  void branch(std::size_t depth) {
    SearchNode& node = nodes_[depth];
    const std::size_t player = order_[depth];
    const auto cost = std::span(node.cost).subspan(game_.players.first[player], strategies(player));
    const double least = std::ranges::min(cost);
    node.children.clear();
    for (std::uint32_t a = 0; a < cost.size(); ++a) node.children.emplace_back(cost[a] - least, a);
    std::sort(node.children.begin(), node.children.end());
    const double swing = 2 * std::sqrt(dot(node.y, node.y)) * longest_sum_;
    for (const auto& [excess, a] : node.children) {
      const double error = rounding(std::abs(least) + std::abs(cost[a]) + swing);
      if (cut(node.bound + excess - error)) return;
      const std::uint64_t bytes = bytes_[row(player, a)];
      if (bytes > node.free_bytes) continue;
      SearchNode& child = nodes_[depth + 1];
      child.free_bytes = node.free_bytes - bytes;
      child.loss = node.loss + game_.players.loss_of(player)[a];
      child.sum = node.sum;
      add_heading(game_, player, a, 1, child.sum);
      child.price = node.price;
      child.y = node.y;
      choice_[player] = a;
      charge_edges(depth, true);
      search(depth + 1);
      charge_edges(depth, false);
    }
  }

  const Game& game_;
  std::size_t dimension_;
  std::vector<std::uint64_t> bytes_;  // [strategies], with the edges to players that have chosen
  std::vector<double> value_;         // [strategies] y·u + loss
  std::vector<double> response_;      // [s]
  std::vector<double> trial_;         // [s]
  std::vector<LinearStep> steps_;
  std::vector<HullVertex> hull_;
  std::vector<std::size_t> order_;  // the players that have chosen, in turn, then the others
  std::vector<std::uint32_t> choice_;
  std::vector<SearchNode> nodes_;  // by depth
  double longest_sum_ = 0;         // Σ_i max_a ‖u_i(a)‖
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
/// @throws Error for a bad game, price or y, and for a budget that no plan fits
inline Allocation allocate_exactly(const Game& game, std::uint64_t budget, double price = 0,
                                   std::span<const double> y = {}) {
  check(game);
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
