#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/game/allocation.hpp>
#include <nash_swarm/game/local_search.hpp>
#include <nash_swarm/game/lower_hull.hpp>
#include <nash_swarm/game/players.hpp>

namespace nash_swarm {

namespace detail {

/// Best responses at the price where the budget ends.
struct PricedResponses {
  std::vector<std::uint32_t> strategy;  ///< [players]
  double price = 0;
  /// Whose step, and to which strategy, is the first that does not fit; none if all fit.
  std::optional<std::pair<std::size_t, std::uint32_t>> next;
};

/// One step along the hull of one player. A player's slopes strictly descend, so slope and player
/// tell any two steps apart.
struct HullStep {
  double slope = 0;
  std::uint64_t bytes = 0;
  std::size_t player = 0;
};

inline namespace NASH_SWARM_TARGET {

inline bool steeper(const HullStep& a, const HullStep& b) noexcept {
  return a.slope > b.slope || (a.slope == b.slope && a.player < b.player);
}

/// Calls `visit(player, hull)` for the players [begin, end).
template <class Visit>
void for_each_hull(const Players& players, std::size_t begin, std::size_t end, Visit visit) {
  std::vector<HullVertex> hull;
  for (std::size_t player = begin; player < end; ++player) {
    lower_hull(players.bytes_of(player), players.loss_of(player), hull);
    visit(player, hull);
  }
}

/// Calls `visit(player, hull)` for every player.
template <class Visit>
void for_each_hull(const Players& players, Visit visit) {
  for_each_hull(players, 0, players.size(), visit);
}

/// Passes over the players are cut into so many tasks, whatever the number of threads.
inline std::size_t player_tasks(const Players& players) noexcept {
  constexpr std::size_t players_per_task = 32768;
  constexpr std::size_t most = 16;
  return std::clamp<std::size_t>(players.size() / players_per_task, 1, most);
}

/// Calls `body(task, begin, end)` for every task's players.
template <Executor E, class Body>
void for_tasks_of_players(const Players& players, E& executor, Body body) {
  const std::size_t count = players.size();
  const std::size_t tasks = player_tasks(players);
  executor.run(tasks, [&](std::size_t task) {
    body(task, count * task / tasks, count * (task + 1) / tasks);
  });
}

inline HullStep step_to(const std::vector<HullVertex>& hull, std::size_t vertex,
                        std::size_t player) {
  return {hull[vertex].slope, hull[vertex].bytes - hull[vertex - 1].bytes, player};
}

/// @throws Error for a budget below the smallest possible bytes
inline void check_budget(std::uint64_t smallest, std::uint64_t budget) {
  if (budget >= smallest) return;
  throw Error("budget",
              std::to_string(budget) + " bytes are fewer than the smallest possible " +
                  std::to_string(smallest),
              "give at least " + std::to_string(smallest) + " bytes");
}

/// The first step, in descending order of slope over all players, that no longer fits the budget;
/// none if all fit. A radix selection: slopes are 0 or more, so the upper bits of their binary
/// form order them. One pass adds up the bytes per bucket (a sixteenth of an octave); a second one
/// collects the steps of the bucket where the budget ends, and only these are sorted.
template <Executor E>
std::optional<HullStep> break_step(const Players& players, std::uint64_t budget, E& executor) {
  const auto bucket_of = [](double slope) {
    return static_cast<std::size_t>(std::bit_cast<std::uint64_t>(slope) >> 48);
  };
  constexpr std::size_t buckets = std::size_t{1} << 15;
  std::vector<std::uint64_t> bucket_bytes(player_tasks(players) * buckets);
  for_tasks_of_players(
      players, executor, [&](std::size_t task, std::size_t begin, std::size_t end) {
        std::uint64_t* const own = bucket_bytes.data() + task * buckets;
        for_each_hull(players, begin, end, [&](std::size_t, const std::vector<HullVertex>& hull) {
          for (std::size_t v = 1; v < hull.size(); ++v) {
            own[bucket_of(hull[v].slope)] += hull[v].bytes - hull[v - 1].bytes;
          }
        });
      });
  for (std::size_t k = buckets; k < bucket_bytes.size(); ++k) {
    bucket_bytes[k % buckets] += bucket_bytes[k];
  }

  std::uint64_t left = budget - smallest_bytes(players);
  std::size_t above = buckets;
  while (above > 0 && bucket_bytes[above - 1] <= left) left -= bucket_bytes[--above];
  if (above == 0) return std::nullopt;

  std::vector<std::vector<HullStep>> found(player_tasks(players));
  for_tasks_of_players(
      players, executor, [&](std::size_t task, std::size_t begin, std::size_t end) {
        for_each_hull(players, begin, end, [&](std::size_t player, const auto& hull) {
          for (std::size_t v = 1; v < hull.size(); ++v) {
            if (bucket_of(hull[v].slope) == above - 1)
              found[task].push_back(step_to(hull, v, player));
          }
        });
      });
  std::vector<HullStep> steps;
  for (const auto& part : found) steps.insert(steps.end(), part.begin(), part.end());
  std::sort(steps.begin(), steps.end(),
            [](const HullStep& a, const HullStep& b) { return steeper(a, b); });
  std::size_t next = 0;
  while (steps[next].bytes <= left) left -= steps[next++].bytes;
  return steps[next];
}

/// See `allocate_at_price`; nothing is checked, and losses may have any sign.
template <Executor E>
PricedResponses best_responses_within(const Players& players, std::uint64_t budget, E& executor) {
  const std::optional<HullStep> stop = break_step(players, budget, executor);
  PricedResponses responses;
  responses.price = stop ? stop->slope : 0;
  responses.strategy.resize(players.size());
  for_tasks_of_players(players, executor, [&](std::size_t, std::size_t begin, std::size_t end) {
    for_each_hull(players, begin, end, [&](std::size_t player, const auto& hull) {
      std::size_t v = 0;
      while (v + 1 < hull.size() && (!stop || steeper(step_to(hull, v + 1, player), *stop))) ++v;
      responses.strategy[player] = hull[v].strategy;
      if (stop && stop->player == player) responses.next = {player, hull[v + 1].strategy};
    });
  });
  return responses;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Best responses at the price where the demand for bytes meets the budget: the steps of all hulls
/// are taken in descending order of slope until one does not fit, and its slope is the price. It
/// maximises the Lagrangian bound (Everett 1963; Sinha and Zoltners 1979, "The multiple-choice
/// knapsack problem"). Fewer bytes than one step stay free; a budget that all steps fit has the
/// price 0. Linear in the number of strategies, apart from the sorting of a few steps.
/// @throws Error for bad tables and for a budget below the smallest possible bytes
template <Executor E>
Allocation allocate_at_price(const Players& players, std::uint64_t budget, E& executor) {
  check(players);
  detail::check_budget(smallest_bytes(players), budget);
  detail::PricedResponses responses = detail::best_responses_within(players, budget, executor);
  return {std::move(responses.strategy), responses.price, {}};
}

/// The same on the calling thread.
inline Allocation allocate_at_price(const Players& players, std::uint64_t budget) {
  SerialExecutor executor;
  return allocate_at_price(players, budget, executor);
}

/// Chooses a strategy for every player of a separable game so that the bytes fit the budget and the
/// loss is small: best responses at one price, then the free bytes are handed out by best gain per
/// byte over all strategies, and the plan is improved until no feasible move of one player lowers
/// the loss (epsilon is 0) and no swap of two nearby moves does (see `improve`). Deterministic:
/// ties go to the lower index. A budget above the largest bytes gives everyone its lowest loss.
/// @throws Error for bad tables and for a budget below the smallest possible bytes
template <Executor E>
Allocation allocate_separable(const Players& players, std::uint64_t budget, E& executor) {
  Allocation allocation = allocate_at_price(players, budget, executor);
  improve(players, budget, allocation.price, allocation.strategy);
  return allocation;
}

/// The same on the calling thread.
inline Allocation allocate_separable(const Players& players, std::uint64_t budget) {
  SerialExecutor executor;
  return allocate_separable(players, budget, executor);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
