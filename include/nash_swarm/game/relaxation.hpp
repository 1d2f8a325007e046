#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/potential.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {

/// The best running heading and price of the game in which players may mix their strategies. They
/// prove the lower bound −½‖y‖² − λB + Σ_i min_a [y·u_i(a) + loss_i(a) + λ·bytes_i(a)].
struct Relaxation {
  std::vector<double> y;                ///< [s]
  double price = 0;                     ///< λ, loss per byte
  std::vector<std::uint32_t> strategy;  ///< [players] best responses to both, within the budget
  double lower_bound = 0;               ///< as found; certify rounds it outward
};

namespace detail {

/// A point of the relaxed game: what a mixed plan within the budget adds up to.
struct Atom {
  std::vector<double> y;
  double loss = 0;  ///< incoherent part
};

inline namespace NASH_SWARM_TARGET {

/// ½‖Σ_k weight_k y_k‖² + Σ_k weight_k loss_k over the simplex, by exact steps along pairs of atoms
/// (sequential minimal optimisation, Platt 1998). Keeps `weights` as the start.
inline void minimise_over_simplex(std::span<const std::vector<double>> gram,
                                  std::span<const Atom> atoms, std::vector<double>& weights) {
  const std::size_t count = atoms.size();
  std::vector<double> gradient(count);
  for (std::size_t i = 0; i < count; ++i) {
    gradient[i] = atoms[i].loss;
    for (std::size_t j = 0; j < count; ++j) gradient[i] += gram[i][j] * weights[j];
  }
  const std::size_t most_steps = 200 * count;
  for (std::size_t step = 0; step < most_steps; ++step) {
    std::size_t to = 0;
    std::size_t from = count;
    for (std::size_t i = 0; i < count; ++i) {
      if (gradient[i] < gradient[to]) to = i;
      if (weights[i] > 0 && (from == count || gradient[i] > gradient[from])) from = i;
    }
    const double fall = gradient[from] - gradient[to];
    if (fall <= 1e-13 * std::abs(gradient[from])) return;
    const double curvature = gram[to][to] + gram[from][from] - 2 * gram[to][from];
    const double shift = curvature * weights[from] > fall ? fall / curvature : weights[from];
    weights[to] += shift;
    weights[from] = curvature * weights[from] > fall ? weights[from] - shift : 0;
    for (std::size_t i = 0; i < count; ++i) gradient[i] += shift * (gram[i][to] - gram[i][from]);
  }
}

/// The separable game that everybody plays against a fixed y: losses y·u_i(a) + loss_i(a), shifted
/// per player so that the lowest is 0.
class LinearisedGame {
 public:
  explicit LinearisedGame(const Game& game) : game_(game), loss_(game.players.loss.size()) {}

  void linearise(std::span<const double> y) {
    for (std::size_t player = 0; player < game_.size(); ++player) {
      const auto own = game_.players.loss_of(player);
      double* const out = loss_.data() + game_.players.first[player];
      const bool shared = game_.headings.shared();
      const double along = shared ? dot(y, game_.direction(player, 0)) : 0;
      double lowest = std::numeric_limits<double>::infinity();
      for (std::size_t a = 0; a < own.size(); ++a) {
        const double part = shared ? along : dot(y, game_.direction(player, a));
        out[a] = std::fma(part, game_.magnitude(player, a), own[a]);
        lowest = std::min(lowest, out[a]);
      }
      for (std::size_t a = 0; a < own.size(); ++a) out[a] -= lowest;
    }
  }

  Players view() const { return {game_.players.first, game_.players.bytes, loss_}; }

  /// The plan of best responses at the price where the budget ends, with the fraction of the next
  /// step that still fits: the minimum of the linear program.
  Atom respond(std::uint64_t budget, PricedResponses& responses) const {
    SerialExecutor executor;
    responses = best_responses_within(view(), budget, executor);
    Atom atom;
    atom.y.resize(game_.headings.dimension);
    std::uint64_t bytes = 0;
    for (std::size_t player = 0; player < game_.size(); ++player) {
      const std::uint32_t a = responses.strategy[player];
      atom.loss += game_.players.loss_of(player)[a];
      bytes += game_.players.bytes_of(player)[a];
      add_heading(game_, player, a, 1.0, atom.y);
    }
    if (!responses.next) return atom;
    const auto [player, to] = *responses.next;
    const std::uint32_t from = responses.strategy[player];
    const auto step_bytes = game_.players.bytes_of(player);
    const double fraction = static_cast<double>(budget - bytes) /
                            static_cast<double>(step_bytes[to] - step_bytes[from]);
    atom.loss +=
        fraction * (game_.players.loss_of(player)[to] - game_.players.loss_of(player)[from]);
    add_heading(game_, player, from, -fraction, atom.y);
    add_heading(game_, player, to, fraction, atom.y);
    return atom;
  }

 private:
  const Game& game_;
  std::vector<double> loss_;
};

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Solves the relaxed game by simplicial decomposition (von Hohenbalken 1977, "Simplicial
/// decomposition in nonlinear programming algorithms"): best responses to the running heading add
/// an atom, then y is the minimum over the mixtures of all atoms. Every round also gives a lower
/// bound; it ends when bound and mixture agree to a millionth, or after 200 rounds. Edges cost
/// nothing here, which only lowers the bound.
/// The tables must be checked and the budget must not be below the smallest bytes.
/// O(rounds · players · (s + strategies)) with shared directions.
inline Relaxation relax(const Game& game, std::uint64_t budget) {
  constexpr std::size_t most_rounds = 200;
  constexpr double enough = 1e-6;
  detail::LinearisedGame linear(game);
  std::vector<detail::Atom> atoms;
  std::vector<double> weights;
  std::vector<std::vector<double>> gram;
  std::vector<double> y(game.headings.dimension);
  Relaxation best;
  best.lower_bound = -std::numeric_limits<double>::infinity();
  double value = std::numeric_limits<double>::infinity();
  for (std::size_t round = 0; round < most_rounds; ++round) {
    linear.linearise(y);
    detail::PricedResponses responses;
    detail::Atom atom = linear.respond(budget, responses);
    const double bound = std::fma(-0.5, detail::dot(y, y), detail::dot(y, atom.y) + atom.loss);
    if (bound > best.lower_bound) {
      best = {y, responses.price, std::move(responses.strategy), bound};
    }
    if (round > 0 && value - best.lower_bound <= enough * value) break;
    std::vector<double> products;
    for (const detail::Atom& other : atoms) products.push_back(detail::dot(other.y, atom.y));
    for (std::size_t k = 0; k < atoms.size(); ++k) gram[k].push_back(products[k]);
    products.push_back(detail::dot(atom.y, atom.y));
    gram.push_back(std::move(products));
    atoms.push_back(std::move(atom));
    weights.push_back(atoms.size() == 1 ? 1 : 0);
    detail::minimise_over_simplex(gram, atoms, weights);
    std::fill(y.begin(), y.end(), 0.0);
    value = 0;
    for (std::size_t k = 0; k < atoms.size(); ++k) {
      value += weights[k] * atoms[k].loss;
      for (std::size_t j = 0; j < y.size(); ++j) y[j] += weights[k] * atoms[k].y[j];
    }
    value = std::fma(0.5, detail::dot(y, y), value);
  }
  return best;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
