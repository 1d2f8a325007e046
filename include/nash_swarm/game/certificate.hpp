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
#include <nash_swarm/game/players.hpp>

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

/// What one player could gain by leaving its strategy; 0 if it has no better one.
struct Regret {
  double within_budget = 0;   ///< in loss, by moves that keep the bytes within the budget
  double at_price = 0;        ///< in loss + price · bytes, by any move
  double at_price_bound = 0;  ///< at least the exact value of `at_price`
};

inline namespace NASH_SWARM_TARGET {

/// @param free bytes of the budget that nobody takes
inline Regret regret_of(std::span<const std::uint64_t> bytes, std::span<const double> loss,
                        std::uint32_t own, std::uint64_t free, double price) {
  // In d = fma(price, c, l) the difference of losses l, the difference of bytes c and the result
  // are rounded once each, relative to |l|, price · |c| and their sum, as is the final addition:
  // together at most 3/2 epsilon of |l| + price · |c|, and a little where a product underflows.
  constexpr double relative = 2 * std::numeric_limits<double>::epsilon();
  constexpr double underflow = 4 * std::numeric_limits<double>::denorm_min();
  Regret regret;
  for (std::size_t a = 0; a < bytes.size(); ++a) {
    if (a == own) continue;  // exactly 0
    const bool costs = bytes[a] > bytes[own];
    const std::uint64_t change = costs ? bytes[a] - bytes[own] : bytes[own] - bytes[a];
    const double saved = costs ? -static_cast<double>(change) : static_cast<double>(change);
    const double fall = loss[own] - loss[a];
    // Explicit fma: the figures must not depend on the flags with which a host compiles.
    const double at_price = std::fma(price, saved, fall);
    const double scale = std::fma(price, std::abs(saved), std::abs(fall));
    const double bound = std::fma(relative, scale, at_price) + underflow;
    if (!costs || change <= free) regret.within_budget = std::max(regret.within_budget, fall);
    regret.at_price = std::max(regret.at_price, at_price);
    regret.at_price_bound = std::max(regret.at_price_bound, bound);
  }
  return regret;
}

/// @throws Error if the plan does not fit the tables or the price is no price
inline void check_plan(const Players& players, std::span<const std::uint32_t> strategy,
                       double price) {
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

/// Computes the certificate of a plan from the tables alone. The bound is the Lagrangian one at the
/// given price, -price · budget + Σ_i min_a (loss_i(a) + price · bytes_i(a)), and never below 0.
/// @param strategy [players]: index within the player's strategies
/// @param price loss per byte
/// @throws Error for bad tables, a plan that does not fit them or the budget, or a bad price
inline Certificate certify(const Players& players, std::span<const std::uint32_t> strategy,
                           std::uint64_t budget, double price) {
  check(players);
  detail::check_plan(players, strategy, price);
  Certificate certificate;
  certificate.players = players.size();
  certificate.budget = budget;
  certificate.price = price;
  for (std::size_t player = 0; player < players.size(); ++player) {
    certificate.bytes += players.bytes_of(player)[strategy[player]];
    certificate.loss += players.loss_of(player)[strategy[player]];
  }
  if (certificate.bytes > budget) {
    throw Error("plan", "it takes " + std::to_string(certificate.bytes) +
                            " bytes, more than the budget of " + std::to_string(budget));
  }

  const std::uint64_t free = budget - certificate.bytes;
  double regrets = 0;
  for (std::size_t player = 0; player < players.size(); ++player) {
    const detail::Regret regret = detail::regret_of(
        players.bytes_of(player), players.loss_of(player), strategy[player], free, price);
    certificate.epsilon = std::max(certificate.epsilon, regret.within_budget);
    certificate.epsilon_at_price = std::max(certificate.epsilon_at_price, regret.at_price);
    regrets += regret.at_price_bound;
  }

  // The bound equals loss - (Σ regrets at the price + price · free bytes). Written this way all
  // terms are 0 or more, so nothing cancels. A sum of n such terms is off by at most n roundings
  // of half an epsilon, relative to itself; n whole ones cover that and second order, eight more
  // the few operations here. All of it is subtracted, so that the bound holds in exact arithmetic.
  const double relative =
      static_cast<double>(players.size() + 8) * std::numeric_limits<double>::epsilon();
  const double distance = std::fma(price, static_cast<double>(free), regrets);
  const double outward = std::fma(relative, certificate.loss + distance, distance) +
                         4 * std::numeric_limits<double>::denorm_min();
  certificate.lower_bound = std::max(0.0, certificate.loss - outward);
  if (certificate.loss > certificate.lower_bound) {
    certificate.gap = (certificate.loss - certificate.lower_bound) / certificate.loss;
  }
  return certificate;
}

/// Recomputes a certificate from the tables and the plan, trusting none of its figures; equality is
/// exact.
/// @return empty if everything holds, otherwise what does not
inline std::string verify(const Certificate& certificate, const Players& players,
                          std::span<const std::uint32_t> strategy) {
  Certificate recomputed;
  try {
    recomputed = certify(players, strategy, certificate.budget, certificate.price);
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
  compare("length of y", certificate.y.size(), recomputed.y.size());
  return wrong;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
