#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/format/matrix_plan.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/model/model.hpp>
#include <nash_swarm/model/rules.hpp>

namespace nash_swarm {

/// The game over all cells of a model, with its tables: a player is a block of a panel, in the
/// order matrix, panel, block; its strategies are the formats that the rules leave, ascending;
/// edges between the blocks of a panel carry the bytes of a boundary in the run table.
///
/// What is stored once counts with the first cell that needs it, in every strategy: row scales
/// and row order with that of the matrix, a basis with that of the matrix that uses it first, one
/// byte of the run table with that of a panel. So the bytes of a plan of the game are its
/// `planned_bytes`. Memory: 16 bytes for a strategy and 32 for a player.
class CellGame {
 public:
  /// @throws Error for an empty model and for rules that cannot be kept
  NASH_SWARM_FUNCTION NASH_SWARM_KEYED explicit CellGame(const Model& model,
                                                         const Rules& rules = {})
      : matrices_(model.matrices()) {
    if (matrices_.empty()) throw Error("model", "no matrices", "add matrices first");
    std::vector<std::string> names;
    for (const ModelMatrix& matrix : matrices_) names.push_back(matrix.name);
    formats_ = allowed_formats(rules, names);
    if (rules.time) {
      if (rules.time->block_time.size() != format_count) {
        throw Error("time", std::to_string(rules.time->block_time.size()) + " times for " +
                                std::to_string(format_count) + " formats");
      }
      block_time_ = rules.time->block_time;
      time_budget_ = rules.time->budget;
    }
    reserve();
    std::vector<std::shared_ptr<const InputBasis>> uncounted = distinct_bases(matrices_);
    for (std::size_t m = 0; m < matrices_.size(); ++m) {
      std::uint64_t once =
          matrices_[m].out_features * sizeof(BFloat16) + matrices_[m].payoff.order.stored_bytes();
      const auto basis = std::find(uncounted.begin(), uncounted.end(), matrices_[m].basis);
      if (basis != uncounted.end()) {
        once += (*basis)->stored_bytes();
        uncounted.erase(basis);
      }
      add_cells(matrices_[m], formats_[m], once);
    }
  }

  // The game is a view of the tables.
  CellGame(const CellGame&) = delete;
  CellGame& operator=(const CellGame&) = delete;

  NASH_SWARM_KEYED Game game() const noexcept {
    return Game(Players{first_, bytes_, loss_}, {}, edges_, {}, {time_, time_budget_});
  }

  /// The cells of a plan of the game.
  /// @param strategy [players]; not checked
  NASH_SWARM_KEYED std::vector<MatrixPlan> plans(const std::vector<std::uint32_t>& strategy) const {
    NASH_SWARM_KEYED std::vector<MatrixPlan> plans;
    std::size_t player = 0;
    for (std::size_t m = 0; m < matrices_.size(); ++m) {
      const ModelMatrix& matrix = matrices_[m];
      CellMap cells(matrix.panels(), matrix.blocks(), FormatId{0});
      for (std::size_t p = 0; p < cells.panels(); ++p) {
        for (std::size_t b = 0; b < cells.blocks(); ++b) {
          cells(p, b) = format_table[formats_[m][strategy[player++]]].id;
        }
      }
      plans.push_back({matrix.name, matrix.out_features, matrix.in_features, matrix.basis,
                       std::move(cells), matrix.payoff.order});
    }
    return plans;
  }

  /// The strategies that given cells are, [players].
  /// @param plans for all matrices of the model, in their order
  /// @throws Error if they are not, or have a format that the rules do not leave
  NASH_SWARM_KEYED std::vector<std::uint32_t> strategy(const std::vector<MatrixPlan>& plans) const {
    if (plans.size() != matrices_.size()) {
      throw Error("plan", std::to_string(plans.size()) + " matrices for a model of " +
                              std::to_string(matrices_.size()));
    }
    std::vector<std::uint32_t> strategy;
    strategy.reserve(first_.size() - 1);
    for (std::size_t m = 0; m < plans.size(); ++m) {
      const CellMap& cells = plans[m].cells;
      if (plans[m].name != matrices_[m].name || cells.panels() != matrices_[m].panels() ||
          cells.blocks() != matrices_[m].blocks()) {
        throw Error(plans[m].name, "not the matrix of the model at its place, " +
                                       matrices_[m].name + ", or of another shape");
      }
      if (plans[m].order != matrices_[m].payoff.order) {
        throw Error(plans[m].name, "its rows are in another order than those of the model");
      }
      for (std::size_t p = 0; p < cells.panels(); ++p) {
        for (const FormatId id : cells.panel(p)) {
          const auto found = std::find(formats_[m].begin(), formats_[m].end(), format_index(id));
          if (found == formats_[m].end()) {
            throw Error(plans[m].name, "panel " + std::to_string(p) + " has a format, number " +
                                           std::to_string(static_cast<unsigned>(id)) +
                                           ", that the rules do not leave to it");
          }
          strategy.push_back(static_cast<std::uint32_t>(found - formats_[m].begin()));
        }
      }
    }
    return strategy;
  }

 private:
  /// Tables that grow by doubling would for a moment take three times their memory.
  NASH_SWARM_KEYED void reserve() {
    std::size_t cells = 0;
    std::size_t strategies = 0;
    for (std::size_t m = 0; m < matrices_.size(); ++m) {
      cells += matrices_[m].panels() * matrices_[m].blocks();
      strategies += matrices_[m].panels() * matrices_[m].blocks() * formats_[m].size();
    }
    first_.reserve(cells + 1);
    first_.push_back(0);
    bytes_.reserve(strategies);
    loss_.reserve(strategies);
    edges_.reserve(cells);
  }

  NASH_SWARM_KEYED void add_cells(const ModelMatrix& matrix,
                                  const std::vector<std::uint32_t>& formats, std::uint64_t once) {
    for (std::size_t p = 0; p < matrix.panels(); ++p) {
      for (std::size_t b = 0; b < matrix.blocks(); ++b) {
        const std::size_t player = first_.size() - 1;
        const std::uint64_t shared = b > 0 ? 0 : p > 0 ? 1 : once + 1;
        if (b > 0) edges_.push_back({player - 1, player, boundary_bytes(matrix.blocks())});
        for (const std::uint32_t f : formats) {
          bytes_.push_back(format_table[f].block_bytes + shared);
          loss_.push_back(matrix.payoff.cell_loss(p, b, f));
          if (!block_time_.empty()) time_.push_back(block_time_[f]);
        }
        first_.push_back(bytes_.size());
      }
    }
  }

  const std::vector<ModelMatrix>& matrices_;
  std::vector<std::vector<std::uint32_t>> formats_;  // by matrix: places in format_table
  std::vector<std::size_t> first_;
  std::vector<std::uint64_t> bytes_;
  std::vector<double> loss_;
  std::vector<std::uint64_t> time_;
  std::vector<std::uint64_t> block_time_;  // by format; empty without a time budget
  std::uint64_t time_budget_ = 0;
  std::vector<Edge> edges_;
};

}  // namespace nash_swarm
