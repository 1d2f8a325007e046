#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <vector>

#include "random_tables.hpp"
#include "support/gaussian.hpp"

/// A coupled game that owns its memory, for tests.
struct OwnedGame {
  Tables tables;
  std::size_t dimension = 0;
  std::vector<double> vectors;
  std::vector<double> magnitudes;
  std::vector<nash_swarm::Edge> edges;
  std::vector<std::uint32_t> formats;

  nash_swarm::Game view() const {
    return {tables.view(), {dimension, vectors, magnitudes}, edges, formats};
  }
};

enum class Coupling { none, vectors, directions };

/// Numbers are small multiples of 2^-6 so that sums are exact and ties happen; with edges between
/// random players.
inline OwnedGame random_game(Random& random, std::size_t most_players, std::size_t most_strategies,
                             Coupling coupling, bool with_edges) {
  OwnedGame game;
  game.tables = random_tables(random, most_players, most_strategies);
  const std::size_t players = game.tables.first.size() - 1;
  const auto number = [&] { return (static_cast<double>(below(random, 65)) - 32) / 64; };
  if (coupling != Coupling::none) {
    game.dimension = 1 + below(random, 4);
    const std::size_t strategies = game.tables.loss.size();
    const std::size_t count = coupling == Coupling::vectors ? strategies : players;
    for (std::size_t k = 0; k < count * game.dimension; ++k) game.vectors.push_back(number());
    if (coupling == Coupling::directions) {
      for (std::size_t a = 0; a < strategies; ++a) game.magnitudes.push_back(8 * number());
    }
  }
  for (std::size_t e = 0; with_edges && players > 1 && e < players; ++e) {
    const std::size_t a = below(random, players);
    const std::size_t b = below(random, players);
    if (a != b) game.edges.push_back({a, b, below(random, 4)});
  }
  return game;
}

/// A unit vector.
inline std::vector<double> random_direction(Random& random, std::size_t dimension) {
  std::vector<double> direction = support::gaussian<double>(dimension, random);
  double square = 0;
  for (const double x : direction) square += x * x;
  for (double& x : direction) x /= std::sqrt(square);
  return direction;
}

/// Like the matrices of a model: losses fall by four per bit, half of each is coherent, directions
/// have the mean cosine `cosine`.
inline OwnedGame smooth_game(Random& random, std::size_t players, std::size_t dimension,
                             double cosine) {
  OwnedGame game;
  game.dimension = dimension;
  std::uniform_real_distribution<double> uniform(0, 1);
  const std::vector<double> common = random_direction(random, dimension);
  for (std::size_t player = 0; player < players; ++player) {
    const double scale = std::exp(uniform(random) * 6);
    std::vector<Tables::Strategy> strategies;
    for (int bits = 1; bits <= 8; ++bits) {
      const double loss = scale * std::pow(4.0, -bits) * (0.9 + 0.2 * uniform(random));
      strategies.emplace_back(128 * bits + static_cast<int>(below(random, 16)), loss / 2);
      game.magnitudes.push_back(std::sqrt(loss));
    }
    game.tables.add(strategies);
    const std::vector<double> own = random_direction(random, dimension);
    for (std::size_t k = 0; k < dimension; ++k) {
      game.vectors.push_back(std::sqrt(cosine) * common[k] + std::sqrt(1 - cosine) * own[k]);
    }
  }
  return game;
}

template <class Visit>
void for_each_plan(const nash_swarm::Game& game, Visit visit) {
  std::vector<std::uint32_t> plan(game.size());
  for (;;) {
    visit(plan);
    std::size_t player = 0;
    while (player < plan.size() && ++plan[player] == game.players.bytes_of(player).size()) {
      plan[player++] = 0;
    }
    if (player == plan.size()) return;
  }
}

/// The smallest loss within the budget, by trying every plan; infinite if none fits.
inline double smallest_loss_of_all(const nash_swarm::Game& game, std::uint64_t budget) {
  double best = std::numeric_limits<double>::infinity();
  for_each_plan(game, [&](const std::vector<std::uint32_t>& plan) {
    const nash_swarm::Totals sum = nash_swarm::totals(game, plan);
    if (sum.bytes <= budget) best = std::min(best, sum.loss);
  });
  return best;
}
