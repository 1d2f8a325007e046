#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/start.hpp>
#include <nash_swarm/game/baselines/uniform.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/players.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>
#include <nash_swarm/game/swarm.hpp>

namespace nash_swarm {
namespace detail {

/// A plan in continuous positions: a player's position, rounded, is the rank of its strategy in
/// ascending bytes.
struct Particle {
  std::vector<double> position;  ///< [players]
  std::vector<double> velocity;
  std::vector<double> best;  ///< position with the smallest loss so far
  double best_loss = std::numeric_limits<double>::infinity();
};

inline namespace NASH_SWARM_TARGET {

class ParticleSwarm {
 public:
  ParticleSwarm(const Game& game, std::uint64_t budget, std::vector<std::uint32_t> start,
                std::uint64_t seed)
      : game_(game), budget_(budget), random_(seed), plan_(std::move(start)) {
    by_rank_.resize(game.players.bytes.size());
    rank_.resize(by_rank_.size());
    for (std::size_t player = 0; player < game.size(); ++player) sort_strategies(player);
    for (const Edge& edge : game.edges) edge_bytes_ += edge.bytes;
    best_plan_ = plan_;
    best_loss_ = totals(game, plan_).loss;
    for (std::size_t player = 0; player < game.size(); ++player) {
      best_.push_back(rank_[game.players.first[player] + plan_[player]]);
    }
    const std::size_t most = (std::size_t{1} << 20) / std::max<std::size_t>(game.size(), 1);
    particles_.resize(std::clamp<std::size_t>(most, 4, 32));
    for (Particle& particle : particles_) start_anywhere(particle);
  }

  /// Every particle moves once.
  void fly() {
    for (Particle& particle : particles_) {
      for (std::size_t player = 0; player < game_.size(); ++player) steer(particle, player);
      rate(particle);
    }
  }

  const std::vector<std::uint32_t>& best() const noexcept { return best_plan_; }

 private:
  double last_rank(std::size_t player) const {
    return static_cast<double>(game_.players.bytes_of(player).size() - 1);
  }

  void sort_strategies(std::size_t player) {
    const auto bytes = game_.players.bytes_of(player);
    const std::size_t first = game_.players.first[player];
    const auto ranks = std::span(by_rank_).subspan(first, bytes.size());
    std::iota(ranks.begin(), ranks.end(), 0u);
    std::ranges::stable_sort(ranks, {}, [&](std::uint32_t a) { return bytes[a]; });
    for (std::uint32_t r = 0; r < ranks.size(); ++r) rank_[first + ranks[r]] = r;
  }

  void start_anywhere(Particle& particle) {
    particle.velocity.resize(game_.size());
    for (std::size_t player = 0; player < game_.size(); ++player) {
      particle.position.push_back(random_.uniform() * last_rank(player));
    }
    rate(particle);
  }

  void steer(Particle& particle, std::size_t player) {
    // Constriction of Clerc and Kennedy (2002), which keeps the swarm from exploding.
    constexpr double inertia = 0.7298;
    constexpr double pull = 1.49618;
    double& x = particle.position[player];
    double& v = particle.velocity[player];
    const double to_own = pull * random_.uniform();
    const double to_all = pull * random_.uniform();
    v = std::fma(inertia, v,
                 std::fma(to_own, particle.best[player] - x, to_all * (best_[player] - x)));
    x = std::clamp(x + v, 0.0, last_rank(player));
  }

  /// Repairs a particle and remembers it if it is better than before.
  void rate(Particle& particle) {
    for (std::size_t player = 0; player < game_.size(); ++player) {
      const auto rank = static_cast<std::size_t>(std::lround(particle.position[player]));
      plan_[player] = by_rank_[game_.players.first[player] + rank];
    }
    Totals sum = totals(game_, plan_);
    if (sum.bytes > budget_) {
      if (!repair(particle)) return remember_start(particle);
      sum = totals(game_, plan_);
    }
    if (sum.loss < particle.best_loss) {
      particle.best_loss = sum.loss;
      particle.best = particle.position;
    }
    if (sum.loss < best_loss_) {
      best_loss_ = sum.loss;
      best_ = particle.position;
      best_plan_ = plan_;
    }
  }

  /// Lowers players by one rank, in turn from a random one, until the plan fits even if all edges
  /// take their bytes.
  /// @return false if there is nobody left to lower
  bool repair(Particle& particle) {
    std::uint64_t bytes = edge_bytes_;
    for (std::size_t player = 0; player < game_.size(); ++player) {
      bytes += game_.players.bytes_of(player)[plan_[player]];
    }
    std::size_t player = static_cast<std::size_t>(random_.below(game_.size()));
    for (std::size_t lowest = 0; bytes > budget_; player = (player + 1) % game_.size()) {
      const std::size_t first = game_.players.first[player];
      const std::uint32_t rank = rank_[first + plan_[player]];
      lowest = rank == 0 ? lowest + 1 : 0;
      if (lowest > game_.size()) return false;
      if (rank == 0) continue;
      bytes -= game_.players.bytes[first + plan_[player]];
      plan_[player] = by_rank_[first + rank - 1];
      bytes += game_.players.bytes[first + plan_[player]];
      particle.position[player] = rank - 1;
    }
    return true;
  }

  /// A particle that cannot be repaired stays where it is and is drawn to the best of all.
  void remember_start(Particle& particle) {
    if (particle.best.empty()) particle.best = best_;
  }

  const Game& game_;
  std::uint64_t budget_;
  FlockRandom random_;
  std::vector<std::uint32_t> plan_;     // of the particle being rated
  std::vector<std::uint32_t> by_rank_;  // [strategies] strategy of each rank
  std::vector<std::uint32_t> rank_;     // [strategies] rank of each strategy
  std::uint64_t edge_bytes_ = 0;
  std::vector<Particle> particles_;
  std::vector<double> best_;  // [players] position of the best plan
  std::vector<std::uint32_t> best_plan_;
  double best_loss_ = 0;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Particle swarm optimisation (Kennedy and Eberhart 1995) over continuous positions that are
/// rounded to strategies and repaired to the budget, edges counted in full. The best of all starts
/// at the uniform plan. 32 particles, fewer (at least 4) above 32,768 players, fly 60 times: O(60 ·
/// particles · players · (1 + s)), memory 24 bytes per particle and player. Deterministic in the
/// seed.
/// @throws Error for a bad game, a time limit, and a budget below the cheapest plan
inline Allocation particle_swarm_allocation(const Game& game, std::uint64_t budget,
                                            std::uint64_t seed = 0) {
  detail::ParticleSwarm swarm(game, budget, uniform_allocation(game, budget).strategy, seed);
  for (int flight = 0; flight < 60 && game.size() > 0; ++flight) swarm.fly();
  return detail::finished(game, swarm.best());
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
