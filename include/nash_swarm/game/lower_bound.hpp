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
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/time_price.hpp>

/// What no plan within the budget can beat, with arithmetic rounded outward.
namespace nash_swarm {
namespace detail {

/// Where a lower bound is taken: any prices of 0 or more and any y give one.
struct DualPrices {
  double price = 0;       ///< of a byte
  double time_price = 0;  ///< of a unit of time
  std::span<const double> y;
};

inline namespace NASH_SWARM_TARGET {

/// a − b with its sign.
inline double difference(std::uint64_t a, std::uint64_t b) noexcept {
  return a >= b ? static_cast<double>(a - b) : -static_cast<double>(b - a);
}

/// How far the loss of a plan can be above the Lagrangian bound at a price, without coupling:
/// Σ_i max_a [loss_i(own) − loss_i(a) + price · (bytes_i(own) − bytes_i(a))] + price · free,
/// rounded up. Written this way all terms are 0 or more, so nothing cancels.
inline double separable_distance(const Game& game, std::span<const std::uint32_t> strategy,
                                 double loss, std::uint64_t budget, double price) {
  // In d = fma(price, c, l) the difference of losses l, the difference of bytes c and the result
  // are rounded once each, relative to |l|, price · |c| and their sum, as is the final addition:
  // together at most 3/2 epsilon of |l| + price · |c|, and a little where a product underflows.
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  constexpr double underflow = 4 * std::numeric_limits<double>::denorm_min();
  std::uint64_t free = budget;
  double sum = 0;
  for (std::size_t player = 0; player < game.size(); ++player) {
    const auto bytes = game.players.bytes_of(player);
    const auto losses = game.players.loss_of(player);
    const std::uint32_t own = strategy[player];
    double regret = 0;
    for (std::size_t a = 0; a < bytes.size(); ++a) {
      if (a == own) continue;  // exactly 0
      const double saved = difference(bytes[own], bytes[a]);
      const double fall = losses[own] - losses[a];
      const double scale = std::fma(price, std::abs(saved), std::abs(fall));
      const double at_price = std::fma(price, saved, fall);
      regret = std::max(regret, std::fma(2 * epsilon, scale, at_price) + underflow);
    }
    sum += regret;
    free -= bytes[own];
  }
  // A sum of n such terms is off by at most n roundings of half an epsilon, relative to itself; n
  // whole ones cover that and second order, eight more the few operations here.
  const double relative = static_cast<double>(game.size() + 8) * epsilon;
  const double distance = std::fma(price, static_cast<double>(free), sum);
  return std::fma(relative, loss + distance, distance) + underflow;
}

/// A value and how large the numbers were that were added up for it.
struct BoundTerm {
  double value = std::numeric_limits<double>::infinity();

  /// Takes the value if it is lower after its rounding.
  void consider(double candidate, double scale, double relative) noexcept {
    value = std::min(value, std::fma(-relative, scale, candidate));
  }
};

/// min_a [y·u(a) + loss(a) + price · bytes(a)] over the strategies of a player.
inline double lowest_strategy(const Game& game, std::size_t player, std::span<const double> y,
                              double length, double price, double relative) {
  const auto bytes = game.players.bytes_of(player);
  const auto loss = game.players.loss_of(player);
  const bool shared = game.headings.shared();
  double along = 0;
  double direction_length = 0;
  BoundTerm lowest;
  for (std::size_t a = 0; a < bytes.size(); ++a) {
    if (a == 0 || !shared) {
      const auto direction = game.direction(player, a);
      along = dot(y, direction);
      direction_length = std::sqrt(dot(direction, direction));
    }
    const double factor = game.magnitude(player, a);
    const double own = std::fma(price, static_cast<double>(bytes[a]), loss[a]);
    const double scale = own + length * direction_length * std::abs(factor);
    lowest.consider(std::fma(factor, along, own), scale, relative);
  }
  return lowest.value;
}

/// The same over the polygon of a player and all above it: with a = y·h·√(2ρ) the minimum of
/// a·√L + (1 − ρ)·L + price · C. Where a is 0 or more, that is concave along an edge and grows with
/// L, so corners suffice; otherwise it is convex along edges and along the ray above the first
/// corner, and a stationary point may lie inside.
inline double lowest_corner(const Game& game, std::size_t player, std::span<const double> y,
                            double length, double price, double relative) {
  const HullCorners& corners = game.corners;
  const double share = corners.coherent[player];
  const auto direction = game.direction(player, 0);
  const double root = std::sqrt(2 * share);
  const double a = dot(y, direction) * root;
  const double reach = length * std::sqrt(dot(direction, direction)) * root;
  BoundTerm lowest;
  const auto consider = [&](double loss, double bytes) {
    const double own = std::fma(price, bytes, (1 - share) * loss);
    const double square_root = std::sqrt(loss);
    lowest.consider(std::fma(a, square_root, own), own + reach * square_root, relative);
  };
  // The derivative by L at fixed slope dC/dL = −width is a/(2√L) + (1 − ρ) − price · width.
  const auto stationary = [&](double width) {
    const double rise = 1 - share - price * width;
    if (rise <= 0) return std::numeric_limits<double>::infinity();
    return a * a / (4 * rise * rise);
  };
  const std::size_t begin = corners.first[player];
  const std::size_t end = corners.first[player + 1];
  for (std::size_t k = begin; k < end; ++k) consider(corners.loss[k], corners.bytes[k]);
  if (a >= 0) return lowest.value;
  const double above = stationary(0);
  if (std::isinf(above)) return -above;  // nothing but coherent loss, which helps without end
  if (above > corners.loss[begin]) consider(above, corners.bytes[begin]);
  for (std::size_t k = begin; k + 1 < end; ++k) {
    const double fall = corners.loss[k] - corners.loss[k + 1];
    if (!(fall > 0)) continue;
    const double width = (corners.bytes[k + 1] - corners.bytes[k]) / fall;
    const double inside = stationary(width);
    if (inside > corners.loss[k + 1] && inside < corners.loss[k]) {
      consider(inside, std::fma(width, corners.loss[k] - inside, corners.bytes[k]));
    }
  }
  return lowest.value;
}

/// −½‖y‖² − price · budget + Σ_i min [y·u_i + loss_i + price · bytes_i], rounded down. It holds for
/// every y, since ½‖Y‖² ≥ y·Y − ½‖y‖², and edges only add bytes.
inline double coupled_bound(const Game& game, std::uint64_t budget, double price,
                            std::span<const double> y) {
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  const double relative = static_cast<double>(2 * y.size() + 16) * epsilon;
  const double square = dot(y, y);
  const double length = std::sqrt(square);
  const double paid = price * static_cast<double>(budget);
  double sum = std::fma(-0.5, square, -paid);
  double magnitude = std::fma(0.5, square, paid);  // of all that was added up
  for (std::size_t player = 0; player < game.size(); ++player) {
    const double lowest = game.corners.first.empty()
                              ? lowest_strategy(game, player, y, length, price, relative)
                              : lowest_corner(game, player, y, length, price, relative);
    sum += lowest;
    magnitude += std::abs(lowest);
  }
  return std::fma(-static_cast<double>(2 * game.size() + 2 * y.size() + 16) * epsilon, magnitude,
                  sum);
}

/// The bound at a price of bytes alone.
/// @param loss of the plan
inline double bound_at_price(const Game& game, std::span<const std::uint32_t> strategy, double loss,
                             std::uint64_t budget, const DualPrices& prices) {
  if (game.coupled() || !game.corners.first.empty()) {
    return coupled_bound(game, budget, prices.price, prices.y);
  }
  return loss - separable_distance(game, strategy, loss, budget, prices.price);
}

/// The bound with a price of time: that of the game whose losses are loss + time_price · time, less
/// what the whole time budget costs.
inline double bound_with_time(const Game& game, std::span<const std::uint32_t> strategy,
                              std::uint64_t budget, const DualPrices& prices) {
  const std::vector<double> priced = losses_with_time(game, prices.time_price);
  Game untimed = game;
  untimed.players.loss = priced;
  untimed.limit = {};
  const double loss = totals(untimed, strategy).loss;
  const double paid = prices.time_price * static_cast<double>(game.limit.budget);
  // Every priced loss is rounded once, which matters for strategies that are no worse than the own
  // one; so is each difference here.
  const double magnitude = loss + paid + prices.price * static_cast<double>(budget);
  const double relative =
      static_cast<double>(game.size() + 8) * std::numeric_limits<double>::epsilon();
  return bound_at_price(untimed, strategy, loss, budget, prices) - paid - relative * magnitude;
}

/// A loss that no plan within the budgets has less of; −inf at worst. Where nothing couples the
/// players it is computed from the distance of the given plan, so that nothing cancels.
inline double lower_bound(const Game& game, std::span<const std::uint32_t> strategy, double loss,
                          std::uint64_t budget, const DualPrices& prices) {
  return prices.time_price > 0 ? bound_with_time(game, strategy, budget, prices)
                               : bound_at_price(game, strategy, loss, budget, prices);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
