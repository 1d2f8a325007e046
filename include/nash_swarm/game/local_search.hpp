#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/players.hpp>

namespace nash_swarm {
namespace detail {

/// A move that lowers the loss of one player.
struct SingleMove {
  double rate = 0;  ///< fall of the loss per byte; infinite if the move takes no further byte
  double gain = 0;  ///< fall of the loss, above 0
  std::uint32_t strategy = 0;
  std::size_t player = 0;
};

/// One half of a swap: fewer bytes for more loss, or more bytes for less loss.
struct HalfSwap {
  double distance = 0;      ///< between the slope of the move and the price
  double loss = 0;          ///< how much the loss changes, without sign
  std::uint64_t bytes = 0;  ///< how much the bytes change, without sign
  std::size_t player = 0;
  std::uint32_t strategy = 0;
  bool frees_bytes = false;
};

inline namespace NASH_SWARM_TARGET {

/// How many half swaps, the closest in slope to the price, are paired with each other.
inline constexpr std::size_t half_swaps_compared = 4096;
/// How often half swaps are collected anew. Swaps end by themselves, mostly after a few rounds;
/// the limit keeps instances with many near ties from taking long.
inline constexpr std::size_t swap_rounds = 32;

/// The improving move of a player with the best rate among those that take at most `free` bytes.
inline std::optional<SingleMove> best_single_move(const Players& players, std::size_t player,
                                                  std::uint32_t own, std::uint64_t free) {
  const auto bytes = players.bytes_of(player);
  const auto loss = players.loss_of(player);
  SingleMove best;
  for (std::uint32_t a = 0; a < bytes.size(); ++a) {
    if (loss[a] >= loss[own]) continue;
    double rate = std::numeric_limits<double>::infinity();
    const double gain = loss[own] - loss[a];
    if (bytes[a] > bytes[own]) {
      const std::uint64_t cost = bytes[a] - bytes[own];
      if (cost > free) continue;
      rate = gain / static_cast<double>(cost);
    }
    if (std::tie(rate, gain) > std::tie(best.rate, best.gain)) best = {rate, gain, a, player};
  }
  return best.gain > 0 ? std::optional(best) : std::nullopt;
}

/// A plan under a budget while it is being improved.
class LocalSearch {
 public:
  LocalSearch(const Players& players, std::uint64_t budget, double price,
              std::span<std::uint32_t> strategy)
      : players_(players), price_(price), strategy_(strategy), free_(budget) {
    for (std::size_t player = 0; player < strategy.size(); ++player) free_ -= own_bytes(player);
  }

  /// Makes single moves, the best rate first, until no feasible one lowers the loss.
  void make_single_moves() {
    while (pass_of_single_moves()) {
    }
  }

  /// Makes swaps among the half swaps closest to the price; every player moves at most once.
  /// @return whether there was any
  bool make_swaps() {
    auto [giving, taking] = half_swaps();
    bool any = false;
    while (const auto swap = best_swap(giving, taking)) {
      const std::size_t giver = swap->give.player;
      const std::size_t taker = swap->take.player;
      move(giver, swap->give.strategy);
      move(taker, swap->take.strategy);
      for (auto* const halves : {&giving, &taking}) {
        std::erase_if(*halves, [giver, taker](const HalfSwap& half) {
          return half.player == giver || half.player == taker;
        });
      }
      any = true;
    }
    return any;
  }

 private:
  struct Swap {
    HalfSwap give;
    HalfSwap take;
  };
  struct HalfSwaps {
    std::vector<HalfSwap> giving;
    std::vector<HalfSwap> taking;  ///< in ascending bytes
  };

  std::uint64_t own_bytes(std::size_t player) const {
    return players_.bytes_of(player)[strategy_[player]];
  }

  void move(std::size_t player, std::uint32_t strategy) {
    free_ += own_bytes(player);
    strategy_[player] = strategy;
    free_ -= own_bytes(player);
  }

  /// While the free bytes only shrink, so do the rates of moves that wait in the heap; an entry is
  /// looked at again when it comes to the top. A move that frees bytes may open moves to players
  /// that have left the heap, so it asks for another pass: the return value.
  bool pass_of_single_moves() {
    const auto worse = [](const SingleMove& a, const SingleMove& b) {
      return std::tie(a.rate, a.gain, b.player) < std::tie(b.rate, b.gain, a.player);
    };
    std::vector<SingleMove> heap;
    for (std::size_t player = 0; player < players_.size(); ++player) {
      if (const auto found = best_single_move(players_, player, strategy_[player], free_)) {
        heap.push_back(*found);
      }
    }
    std::make_heap(heap.begin(), heap.end(), worse);
    bool freed = false;
    while (!heap.empty()) {
      std::pop_heap(heap.begin(), heap.end(), worse);
      const SingleMove top = heap.back();
      heap.pop_back();
      const std::uint64_t bytes = players_.bytes_of(top.player)[top.strategy];
      if (bytes <= own_bytes(top.player) || bytes - own_bytes(top.player) <= free_) {
        freed = freed || bytes < own_bytes(top.player);
        move(top.player, top.strategy);
      }
      if (const auto next = best_single_move(players_, top.player, strategy_[top.player], free_)) {
        heap.push_back(*next);
        std::push_heap(heap.begin(), heap.end(), worse);
      }
    }
    return freed;
  }

  /// The half swaps closest in slope to the price: a heap with the farthest one on top.
  HalfSwaps half_swaps() const {
    const auto closer = [](const HalfSwap& a, const HalfSwap& b) {
      return std::tie(a.distance, a.player, a.strategy) <
             std::tie(b.distance, b.player, b.strategy);
    };
    std::vector<HalfSwap> closest;
    for (std::size_t player = 0; player < players_.size(); ++player) {
      const auto bytes = players_.bytes_of(player);
      const auto loss = players_.loss_of(player);
      const std::uint32_t own = strategy_[player];
      for (std::uint32_t a = 0; a < bytes.size(); ++a) {
        if (bytes[a] == bytes[own] || (bytes[a] > bytes[own]) != (loss[a] < loss[own])) continue;
        HalfSwap half{0, std::abs(loss[a] - loss[own]), 0, player, a, bytes[a] < bytes[own]};
        half.bytes = half.frees_bytes ? bytes[own] - bytes[a] : bytes[a] - bytes[own];
        half.distance = std::abs(half.loss / static_cast<double>(half.bytes) - price_);
        if (closest.size() == half_swaps_compared) {
          if (!closer(half, closest.front())) continue;
          std::pop_heap(closest.begin(), closest.end(), closer);
          closest.pop_back();
        }
        closest.push_back(half);
        std::push_heap(closest.begin(), closest.end(), closer);
      }
    }
    HalfSwaps halves;
    for (const HalfSwap& half : closest) {
      (half.frees_bytes ? halves.giving : halves.taking).push_back(half);
    }
    const auto fewer_bytes = [](const HalfSwap& a, const HalfSwap& b) {
      return std::tie(a.bytes, a.player, a.strategy) < std::tie(b.bytes, b.player, b.strategy);
    };
    std::sort(halves.giving.begin(), halves.giving.end(), fewer_bytes);
    std::sort(halves.taking.begin(), halves.taking.end(), fewer_bytes);
    return halves;
  }

  /// The pair of half swaps of two players that fits and lowers the loss most.
  std::optional<Swap> best_swap(const std::vector<HalfSwap>& giving,
                                const std::vector<HalfSwap>& taking) const {
    std::optional<Swap> best;
    double best_gain = 0;
    const HalfSwap* first = nullptr;   // largest loss among those that fit
    const HalfSwap* second = nullptr;  // the same among the other players
    std::size_t fitting = 0;
    for (const HalfSwap& give : giving) {  // in ascending bytes, so ever more of `taking` fits
      for (; fitting < taking.size() && taking[fitting].bytes <= give.bytes + free_; ++fitting) {
        const HalfSwap* const take = &taking[fitting];
        if (first == nullptr || take->loss > first->loss) {
          if (first != nullptr && first->player != take->player) second = first;
          first = take;
        } else if (take->player != first->player &&
                   (second == nullptr || take->loss > second->loss)) {
          second = take;
        }
      }
      const HalfSwap* const take =
          first != nullptr && first->player == give.player ? second : first;
      if (take != nullptr && take->loss - give.loss > best_gain) {
        best_gain = take->loss - give.loss;
        best = Swap{give, *take};
      }
    }
    return best;
  }

  const Players& players_;
  double price_;
  std::span<std::uint32_t> strategy_;
  std::uint64_t free_;  // bytes of the budget that nobody takes
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Lowers the loss of a plan under its budget: single moves by best gain per byte until no feasible
/// one helps, then swaps (one player frees bytes, another takes them) among the 4,096 moves closest
/// in slope to the price, in turn until neither helps or 32 rounds are over. Single moves come
/// last, so no feasible move of one player lowers the loss afterwards.
/// The tables must be checked and the plan must fit the budget.
inline void improve(const Players& players, std::uint64_t budget, double price,
                    std::span<std::uint32_t> strategy) {
  detail::LocalSearch search(players, budget, price, strategy);
  search.make_single_moves();
  for (std::size_t round = 0; round < detail::swap_rounds && search.make_swaps(); ++round) {
    search.make_single_moves();
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
