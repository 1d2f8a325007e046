#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>

namespace nash_swarm {

/// What anybody can recompute from the tables and a plan: how much one player could gain by
/// deviating, and how far the plan is from what no allocation can beat.
struct Certificate {
  std::size_t players = 0;
  double epsilon = 0;           ///< largest fall of the loss by one player's move within the budget
  double epsilon_at_price = 0;  ///< the same in loss + price · bytes, without the budget
  std::uint64_t bytes = 0;
  std::uint64_t budget = 0;  ///< bytes <= budget
  double loss = 0;           ///< of the plan, never with the price term
  double lower_bound = 0;    ///< no allocation within the budget has a smaller loss
  double gap = 0;            ///< (loss - lower_bound) / loss, a fraction; 0 if they are equal
  double price = 0;          ///< loss per byte, 0 or more: proves the bound together with y
  std::vector<double> y;     ///< running sum of headings; empty without coupling

  friend bool operator==(const Certificate&, const Certificate&) = default;
};

namespace detail {

/// What players could gain by leaving their strategies; 0 if none has a better one.
struct Regrets {
  double within_budget = 0;  ///< the largest fall of F by a move that keeps the bytes in the budget
  double at_price = 0;       ///< the largest fall of F + price · bytes by any move
};

inline namespace NASH_SWARM_TARGET {

/// The largest gains of single moves. Without coupling a fall of F is exact; with it, one that does
/// not exceed the rounding of its sums counts as none.
inline Regrets regrets_of(const RunningPlan& plan, std::uint64_t budget, double price) {
  Regrets regrets;
  std::vector<LossChange> changes;
  const std::uint64_t free = budget - plan.bytes();
  for (std::size_t player = 0; player < plan.game().size(); ++player) {
    plan.loss_changes(player, changes);
    const std::uint32_t own = plan.strategy()[player];
    const std::uint64_t own_bytes = plan.bytes_of(player, own);
    for (std::size_t a = 0; a < changes.size(); ++a) {
      if (a == own) continue;
      const std::uint64_t bytes = plan.bytes_of(player, a);
      const bool costs = bytes > own_bytes;
      const std::uint64_t change = costs ? bytes - own_bytes : own_bytes - bytes;
      const double saved = costs ? -static_cast<double>(change) : static_cast<double>(change);
      const double at_price = std::fma(price, saved, -changes[a].value);
      if ((!costs || change <= free) && changes[a].falls()) {
        regrets.within_budget = std::max(regrets.within_budget, -changes[a].value);
      }
      if (at_price > changes[a].rounding) regrets.at_price = std::max(regrets.at_price, at_price);
    }
  }
  return regrets;
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
      const double saved = bytes[a] > bytes[own] ? -static_cast<double>(bytes[a] - bytes[own])
                                                 : static_cast<double>(bytes[own] - bytes[a]);
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

/// −½‖y‖² − price · budget + Σ_i min_a [y·u_i(a) + loss_i(a) + price · bytes_i(a)], rounded down.
/// It holds for every y, since ½‖Y‖² ≥ y·Y − ½‖y‖², and edges only add bytes.
inline double coupled_bound(const Game& game, std::span<const double> y, std::uint64_t budget,
                            double price) {
  constexpr double epsilon = std::numeric_limits<double>::epsilon();
  const double relative = static_cast<double>(2 * y.size() + 8) * epsilon;
  const double square = dot(y, y);
  const double length = std::sqrt(square);
  const double paid = price * static_cast<double>(budget);
  double sum = std::fma(-0.5, square, -paid);
  double magnitude = std::fma(0.5, square, paid);  // of all that was added up
  for (std::size_t player = 0; player < game.size(); ++player) {
    const auto bytes = game.players.bytes_of(player);
    const auto loss = game.players.loss_of(player);
    const bool shared = game.headings.shared();
    double along = 0;
    double direction_length = 0;
    double lowest = std::numeric_limits<double>::infinity();
    for (std::size_t a = 0; a < bytes.size(); ++a) {
      if (a == 0 || !shared) {
        const auto direction = game.direction(player, a);
        along = dot(y, direction);
        direction_length = std::sqrt(dot(direction, direction));
      }
      const double factor = game.magnitude(player, a);
      const double own = std::fma(price, static_cast<double>(bytes[a]), loss[a]);
      const double scale = own + length * direction_length * std::abs(factor);
      lowest = std::min(lowest, std::fma(-relative, scale, std::fma(factor, along, own)));
    }
    sum += lowest;
    magnitude += std::abs(lowest);
  }
  return std::fma(-static_cast<double>(2 * game.size() + 2 * y.size() + 16) * epsilon, magnitude,
                  sum);
}

/// @throws Error if the plan does not fit the tables or the price is no price
inline void check_plan(const Game& game, std::span<const std::uint32_t> strategy, double price,
                       std::span<const double> y) {
  const Players& players = game.players;
  if (strategy.size() != players.size()) {
    throw Error("plan", std::to_string(strategy.size()) + " strategies for " +
                            std::to_string(players.size()) + " players");
  }
  for (std::size_t player = 0; player < strategy.size(); ++player) {
    if (strategy[player] >= players.bytes_of(player).size()) {
      throw Error("plan", player_name(player) + " has no strategy " +
                              std::to_string(strategy[player]) + " among its " +
                              std::to_string(players.bytes_of(player).size()));
    }
  }
  if (!std::isfinite(price) || price < 0) {
    throw Error("price", std::to_string(price) + " is not a price",
                "give a finite number that is 0 or more");
  }
  if (y.size() != game.headings.dimension) {
    throw Error("y", std::to_string(y.size()) + " numbers for headings of " +
                         std::to_string(game.headings.dimension));
  }
  double square = 0;
  for (const double x : y) square += x * x;
  if (!std::isfinite(square)) throw Error("y", "it is not finite or too long to square");
}

/// Enough digits to tell any two doubles apart.
inline std::string digits(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Computes the certificate of a plan from the tables alone. The lower bound is the Lagrangian one
/// at the given y and price, and never below 0: −½‖y‖² − price · budget + Σ_i min_a [y·u_i(a) +
/// loss_i(a) + price · bytes_i(a)].
/// @param strategy [players]: index within the player's strategies
/// @param price loss per byte
/// @param y [s]; any y gives a bound, the one of `allocate` a good one
/// @throws Error for a bad game, a plan that does not fit it or the budget, a bad price or y
/// O(players · (s + strategies) + edges) with shared directions
inline Certificate certify(const Game& game, std::span<const std::uint32_t> strategy,
                           std::uint64_t budget, double price, std::span<const double> y = {}) {
  check(game);
  detail::check_plan(game, strategy, price, y);
  const detail::RunningPlan plan(game, {strategy.begin(), strategy.end()});
  Certificate certificate;
  certificate.players = game.size();
  certificate.budget = budget;
  certificate.price = price;
  certificate.y.assign(y.begin(), y.end());
  certificate.bytes = plan.bytes();
  certificate.loss = plan.loss();
  if (certificate.bytes > budget) {
    throw Error("plan", "it takes " + std::to_string(certificate.bytes) +
                            " bytes, more than the budget of " + std::to_string(budget));
  }
  const detail::Regrets regrets = detail::regrets_of(plan, budget, price);
  certificate.epsilon = regrets.within_budget;
  certificate.epsilon_at_price = regrets.at_price;
  const double bound =
      game.coupled() ? detail::coupled_bound(game, y, budget, price)
                     : certificate.loss - detail::separable_distance(
                                              game, strategy, certificate.loss, budget, price);
  certificate.lower_bound = std::clamp(bound, 0.0, certificate.loss);
  if (certificate.loss > certificate.lower_bound) {
    certificate.gap = (certificate.loss - certificate.lower_bound) / certificate.loss;
  }
  return certificate;
}

/// Recomputes a certificate from the tables and the plan, trusting none of its figures; equality is
/// exact.
/// @return empty if everything holds, otherwise what does not
inline std::string verify(const Certificate& certificate, const Game& game,
                          std::span<const std::uint32_t> strategy) {
  Certificate recomputed;
  try {
    recomputed = certify(game, strategy, certificate.budget, certificate.price, certificate.y);
  } catch (const Error& error) {
    return error.what();
  }
  std::string wrong;
  const auto compare = [&wrong](const char* name, auto stated, auto actual) {
    if (stated == actual) return;
    if (!wrong.empty()) wrong += "; ";
    wrong += name;
    if constexpr (std::is_floating_point_v<decltype(actual)>) {
      wrong += " is " + detail::digits(actual) + ", not " + detail::digits(stated);
    } else {
      wrong += " is " + std::to_string(actual) + ", not " + std::to_string(stated);
    }
  };
  compare("players", certificate.players, recomputed.players);
  compare("epsilon", certificate.epsilon, recomputed.epsilon);
  compare("epsilon_at_price", certificate.epsilon_at_price, recomputed.epsilon_at_price);
  compare("bytes", certificate.bytes, recomputed.bytes);
  compare("loss", certificate.loss, recomputed.loss);
  compare("lower_bound", certificate.lower_bound, recomputed.lower_bound);
  compare("gap", certificate.gap, recomputed.gap);
  return wrong;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
