#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/matrix_game.hpp>
#include <nash_swarm/model/cell_game.hpp>
#include <nash_swarm/model/model.hpp>
#include <nash_swarm/model/plan.hpp>
#include <nash_swarm/model/rules.hpp>

namespace nash_swarm {
namespace detail {

/// A coupled game in which every player has one more strategy, after its others, and a plan has
/// taken it.
class GameWithOwn {
 public:
  /// @param own [players] bytes and losses, coherent and incoherent part together
  /// @param coherent [players] share of the loss that is coherent
  NASH_SWARM_KEYED GameWithOwn(const Game& game, std::span<const Totals> own,
                               std::span<const double> coherent)
      : game_(game) {
    for (std::size_t player = 0; player < game.size(); ++player) {
      const std::size_t begin = game.players.first[player];
      const std::size_t count = game.players.first[player + 1] - begin;
      const auto append = [&](auto& table, const auto& others, auto value) {
        const auto part = others.subspan(begin, count);
        table.insert(table.end(), part.begin(), part.end());
        table.push_back(value);
      };
      const double share = coherent[player];
      append(bytes_, game.players.bytes, own[player].bytes);
      append(loss_, game.players.loss, (1 - share) * own[player].loss);
      append(magnitude_, game.headings.magnitude, std::sqrt(2 * share * own[player].loss));
      first_.push_back(bytes_.size());
      strategy_.push_back(static_cast<std::uint32_t>(count));
    }
  }

  NASH_SWARM_KEYED Game game() const noexcept {
    Game game(Players{first_, bytes_, loss_},
              Headings{game_.headings.dimension, game_.headings.vector, magnitude_});
    game.corners = game_.corners;
    return game;
  }
  std::span<const std::uint32_t> strategy() const noexcept { return strategy_; }

 private:
  Game game_;
  std::vector<std::size_t> first_{0};
  std::vector<std::uint64_t> bytes_;
  std::vector<double> loss_;
  std::vector<double> magnitude_;
  std::vector<std::uint32_t> strategy_;
};

}  // namespace detail

/// The game over the matrices of a model that disturb each other: a player is a matrix, its
/// strategies are the best plans of its cells at a few dozen prices.
class CoupledGame {
 public:
  /// @throws Error as CellGame does, and for a budget of time, which this game does not keep
  NASH_SWARM_FUNCTION NASH_SWARM_KEYED explicit CoupledGame(const Model& model,
                                                            const Rules& rules = {})
      : model_(model),
        cells_(model, checked(rules)),
        first_cell_(first_cells(model)),
        matrices_(cells_.game(), first_cell_, headings(), executor_) {}

  // The game is a view of the tables.
  CoupledGame(const CoupledGame&) = delete;
  CoupledGame& operator=(const CoupledGame&) = delete;

  NASH_SWARM_KEYED Game game() const noexcept { return matrices_.game(); }

  /// An equilibrium within the budget, with its certificate: that of the matrices' strategies, and
  /// then, since those leave bytes over, what the cells make of the whole budget at the weights
  /// that the matrices' losses have in it.
  /// @throws Error for a budget below the smallest possible bytes
  NASH_SWARM_KEYED Plan allocate(std::uint64_t budget) const {
    const Allocation allocation = nash_swarm::allocate(game(), budget);
    const auto certified = [&](const std::vector<std::uint32_t>& cells) {
      return certify(cells_.plans(cells), budget, allocation.price, allocation.y);
    };
    std::vector<std::uint32_t> cells = matrices_.cells(allocation.strategy);
    Plan best = certified(cells);
    for (int round = 0; round < 8; ++round) {
      cells = best_cells(weights_of(totals_of(cells)), budget);
      Plan plan = certified(cells);
      const Certificate& found = plan.certificate();
      if (found.epsilon > 0.0 || !(found.loss < best.certificate().loss)) break;
      best = std::move(plan);
    }
    return best;
  }

  /// Certifies cells that somebody else has chosen; a deviation is to one of a matrix's strategies.
  /// @param y proves the lower bound; of another dimension for the sum of these cells' headings
  /// @throws Error if the cells do not fit the model, the rules or the budget
  NASH_SWARM_KEYED Plan certify(std::vector<MatrixPlan> plans, std::uint64_t budget, double price,
                                std::span<const double> y) const {
    const detail::GameWithOwn own(game(), totals_of(cells_.strategy(plans)),
                                  model_.headings().coherent);
    const std::vector<double> sum = totals(own.game(), own.strategy()).y;
    Certificate certificate =
        nash_swarm::certify(own.game(), own.strategy(), budget, price,
                            y.size() == sum.size() ? y : std::span<const double>(sum));
    return Plan(std::move(plans), std::move(certificate));
  }

 private:
  NASH_SWARM_KEYED static const Rules& checked(const Rules& rules) {
    if (!rules.time) return rules;
    throw Error("time", "matrices that disturb each other are planned by bytes alone",
                "leave out the budget of time");
  }

  /// [matrices + 1] the first cell of every matrix
  NASH_SWARM_KEYED static std::vector<std::size_t> first_cells(const Model& model) {
    std::vector<std::size_t> first{0};
    for (const ModelMatrix& matrix : model.matrices()) {
      first.push_back(first.back() + matrix.panels() * matrix.blocks());
    }
    return first;
  }

  NASH_SWARM_KEYED MatrixHeadings headings() const noexcept {
    const MeasuredHeadings& measured = model_.headings();
    return {measured.dimension, measured.direction, measured.coherent};
  }

  /// Bytes and loss of every matrix.
  /// @param strategy [cells]
  NASH_SWARM_KEYED std::vector<Totals> totals_of(std::span<const std::uint32_t> strategy) const {
    const Game cells = cells_.game();
    std::vector<Totals> matrices(first_cell_.size() - 1);
    std::size_t edge = 0;
    for (std::size_t m = 0; m < matrices.size(); ++m) {
      for (std::size_t cell = first_cell_[m]; cell < first_cell_[m + 1]; ++cell) {
        matrices[m].bytes += cells.players.bytes_of(cell)[strategy[cell]];
        matrices[m].loss += cells.players.loss_of(cell)[strategy[cell]];
      }
      for (; edge < cells.edges.size() && cells.edges[edge].a < first_cell_[m + 1]; ++edge) {
        matrices[m].bytes += detail::edge_bytes(cells, strategy, cells.edges[edge]);
      }
    }
    return matrices;
  }

  /// The slope of F by the loss of every matrix, 0 or more.
  NASH_SWARM_KEYED std::vector<double> weights_of(const std::vector<Totals>& matrices) const {
    const MeasuredHeadings& headings = model_.headings();
    const auto direction = [&](std::size_t m) {
      return std::span(headings.direction).subspan(m * headings.dimension, headings.dimension);
    };
    std::vector<double> y(headings.dimension);
    for (std::size_t m = 0; m < matrices.size(); ++m) {
      const double length = std::sqrt(2 * headings.coherent[m] * matrices[m].loss);
      for (std::size_t k = 0; k < y.size(); ++k) y[k] = std::fma(length, direction(m)[k], y[k]);
    }
    std::vector<double> weights;
    for (std::size_t m = 0; m < matrices.size(); ++m) {
      const double share = headings.coherent[m];
      const double length = std::sqrt(2 * share * matrices[m].loss);
      const double slope = length > 0.0 ? share * detail::dot(y, direction(m)) / length : share;
      weights.push_back(std::max(0.0, 1 - share + slope));
    }
    return weights;
  }

  /// The best plan of all cells if the losses of every matrix count so much.
  NASH_SWARM_KEYED std::vector<std::uint32_t> best_cells(const std::vector<double>& weights,
                                                         std::uint64_t budget) const {
    Game game = cells_.game();
    std::vector<double> loss(game.players.loss.begin(), game.players.loss.end());
    for (std::size_t m = 0; m < weights.size(); ++m) {
      const std::size_t end = game.players.first[first_cell_[m + 1]];
      for (std::size_t s = game.players.first[first_cell_[m]]; s < end; ++s) loss[s] *= weights[m];
    }
    game.players.loss = loss;
    return nash_swarm::allocate(game, budget).strategy;
  }

  const Model& model_;
  CellGame cells_;
  std::vector<std::size_t> first_cell_;
  SerialExecutor executor_;
  MatrixGame matrices_;
};

}  // namespace nash_swarm
