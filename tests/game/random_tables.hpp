#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/game/players.hpp>

/// Tables that own their memory, for tests.
struct Tables {
  using Strategy = std::pair<std::uint64_t, double>;  // bytes, loss

  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;

  Tables() = default;
  Tables(std::initializer_list<std::vector<Strategy>> players) {
    for (const auto& player : players) add(player);
  }

  void add(const std::vector<Strategy>& player) {
    for (const auto& [strategy_bytes, strategy_loss] : player) {
      bytes.push_back(strategy_bytes);
      loss.push_back(strategy_loss);
    }
    first.push_back(bytes.size());
  }

  nash_swarm::Players view() const { return {first, bytes, loss}; }

  std::vector<Strategy> player(std::size_t index) const {
    std::vector<Strategy> strategies;
    for (std::size_t s = first[index]; s < first[index + 1]; ++s) {
      strategies.emplace_back(bytes[s], loss[s]);
    }
    return strategies;
  }
};

using Random = std::mt19937_64;

inline std::uint64_t below(Random& random, std::uint64_t limit) {
  return random() % limit;
}

/// Bytes and losses are small multiples of 1 and 2^-6, so that sums are exact and ties happen.
inline Tables random_tables(Random& random, std::size_t most_players, std::size_t most_strategies) {
  Tables tables;
  const std::size_t players = 1 + below(random, most_players);
  const std::uint64_t range = 4 + below(random, 60);
  for (std::size_t player = 0; player < players; ++player) {
    std::vector<Tables::Strategy> strategies(1 + below(random, most_strategies));
    for (auto& [bytes, loss] : strategies) {
      bytes = below(random, range);
      loss = static_cast<double>(below(random, 4 * range)) / 64;
    }
    tables.add(strategies);
  }
  return tables;
}

/// Like the cells of a model: losses fall by about four per bit, and no two are equal.
inline Tables smooth_tables(Random& random, std::size_t players) {
  std::uniform_real_distribution<double> uniform(0, 1);
  Tables tables;
  for (std::size_t player = 0; player < players; ++player) {
    const double scale = std::exp(uniform(random) * 10);
    std::vector<Tables::Strategy> strategies;
    for (int bits = 0; bits < 8; ++bits) {
      const double loss = scale * std::pow(4.0, -bits) * (0.9 + 0.2 * uniform(random));
      strategies.emplace_back(128 * bits + static_cast<int>(below(random, 16)), loss);
    }
    tables.add(strategies);
  }
  return tables;
}

struct Total {
  std::uint64_t bytes = 0;
  double loss = 0;
};

inline Total total(const nash_swarm::Players& players, std::span<const std::uint32_t> strategy) {
  Total sum;
  for (std::size_t player = 0; player < players.size(); ++player) {
    sum.bytes += players.bytes_of(player)[strategy[player]];
    sum.loss += players.loss_of(player)[strategy[player]];
  }
  return sum;
}

/// The smallest loss within the budget, by trying every plan; infinite if none fits.
inline double smallest_loss(const nash_swarm::Players& players, std::uint64_t budget,
                            std::size_t player = 0) {
  if (player == players.size()) return 0;
  double best = std::numeric_limits<double>::infinity();
  const auto bytes = players.bytes_of(player);
  for (std::size_t a = 0; a < bytes.size(); ++a) {
    if (bytes[a] > budget) continue;
    const double rest = smallest_loss(players, budget - bytes[a], player + 1);
    best = std::min(best, players.loss_of(player)[a] + rest);
  }
  return best;
}
