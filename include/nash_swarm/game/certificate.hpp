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
#include <nash_swarm/game/game.hpp>

#if NASH_SWARM_DEFINITIONS
#include <nash_swarm/game/best_response.hpp>
#include <nash_swarm/game/lower_bound.hpp>
#include <nash_swarm/game/potential.hpp>
#endif

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
  std::uint64_t time = 0;    ///< of the plan; this and the next two are 0 if time does not count
  std::uint64_t time_budget = 0;  ///< time <= time_budget
  double time_price = 0;          ///< loss per unit of time, 0 or more

  friend bool operator==(const Certificate&, const Certificate&) = default;
};

#if NASH_SWARM_DEFINITIONS
namespace detail {

/// What players could gain by leaving their strategies; 0 if none has a better one.
struct Regrets {
  double within_budget =
      0;  ///< the largest fall of F by a move that keeps bytes and time in their budgets
  double at_price = 0;  ///< the largest fall of F and what bytes and time cost, by any move
};

inline namespace NASH_SWARM_TARGET {

/// The largest gains of single moves. Without coupling a fall of F is exact; with it, one that does
/// not exceed the rounding of its sums counts as none.
inline Regrets regrets_of(const RunningPlan& plan, std::uint64_t budget, double price,
                          double time_price) {
  Regrets regrets;
  std::vector<LossChange> changes;
  const Game& game = plan.game();
  for (std::size_t player = 0; player < game.size(); ++player) {
    plan.loss_changes(player, changes);
    const std::uint32_t own = plan.strategy()[player];
    const std::uint64_t own_bytes = plan.bytes_of(player, own);
    for (std::size_t a = 0; a < changes.size(); ++a) {
      if (a == own) continue;
      if (changes[a].falls() && plan.fits(player, a, budget)) {
        regrets.within_budget = std::max(regrets.within_budget, -changes[a].value);
      }
      const double saved = difference(own_bytes, plan.bytes_of(player, a));
      const double sooner = difference(game.time_of(player, own), game.time_of(player, a));
      const double at_price =
          std::fma(time_price, sooner, std::fma(price, saved, -changes[a].value));
      if (at_price > changes[a].rounding) regrets.at_price = std::max(regrets.at_price, at_price);
    }
  }
  return regrets;
}

/// @throws Error unless the price is one
inline void check_price(double price) {
  if (std::isfinite(price) && price >= 0) return;
  throw Error("price", std::to_string(price) + " is not a price",
              "give a finite number that is 0 or more");
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
  check_price(price);
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
#endif

inline namespace NASH_SWARM_TARGET {

/// Computes the certificate of a plan from the tables alone. The lower bound is the Lagrangian one
/// at the given y and price, and never below 0: −½‖y‖² − price · budget + Σ_i min_a [y·u_i(a) +
/// loss_i(a) + price · bytes_i(a)].
/// @param strategy [players]: index within the player's strategies
/// @param price loss per byte
/// @param y [s]; any y gives a bound, the one of `allocate` a good one
/// @throws Error for a bad game, a plan that does not fit it or the budget, a bad price or y
/// O(players · (s + strategies) + edges) with shared directions
NASH_SWARM_FUNCTION Certificate certify(const Game& game, std::span<const std::uint32_t> strategy,
                                        std::uint64_t budget, double price,
                                        std::span<const double> y = {}, double time_price = 0);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION Certificate certify(const Game& game, std::span<const std::uint32_t> strategy,
                                          std::uint64_t budget, double price,
                                          std::span<const double> y, double time_price) {
  check(game);
  detail::check_plan(game, strategy, price, y);
  detail::check_price(time_price);
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
  if (game.timed()) {
    certificate.time = plan.time();
    certificate.time_budget = game.limit.budget;
    certificate.time_price = time_price;
    if (certificate.time > certificate.time_budget) {
      throw Error("plan", "it takes the time " + std::to_string(certificate.time) +
                              ", more than the budget of " +
                              std::to_string(certificate.time_budget));
    }
  }
  const detail::Regrets regrets = detail::regrets_of(plan, budget, price, certificate.time_price);
  certificate.epsilon = regrets.within_budget;
  certificate.epsilon_at_price = regrets.at_price;
  const double bound =
      detail::lower_bound(game, strategy, certificate.loss, budget, {price, time_price, y});
  // At prices near the largest double the bound may be no number, and then proves nothing.
  certificate.lower_bound = bound > 0 ? std::min(bound, certificate.loss) : 0.0;
  if (certificate.loss > certificate.lower_bound) {
    certificate.gap = (certificate.loss - certificate.lower_bound) / certificate.loss;
  }
  return certificate;
}
#endif

/// Recomputes a certificate from the tables and the plan, trusting none of its figures; equality is
/// exact.
/// @return empty if everything holds, otherwise what does not
NASH_SWARM_FUNCTION std::string verify(const Certificate& certificate, const Game& game,
                                       std::span<const std::uint32_t> strategy);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION std::string verify(const Certificate& certificate, const Game& game,
                                         std::span<const std::uint32_t> strategy) {
  Certificate recomputed;
  try {
    recomputed = certify(game, strategy, certificate.budget, certificate.price, certificate.y,
                         certificate.time_price);
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
  compare("time", certificate.time, recomputed.time);
  compare("time_budget", certificate.time_budget, recomputed.time_budget);
  compare("time_price", certificate.time_price, recomputed.time_price);
  return wrong;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
