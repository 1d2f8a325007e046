#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/players.hpp>
#include <nash_swarm/game/price.hpp>
#include <nash_swarm/model/model.hpp>
#include <nash_swarm/model/plan.hpp>

namespace nash_swarm {

/// How many bytes the matrices of a model may take, all in.
class Budget {
 public:
  static Budget bytes(std::uint64_t count) {
    Budget budget;
    budget.bytes_ = count;
    return budget;
  }
  /// All-in bits per weight, averaged over the matrices.
  /// @throws Error unless the figure is positive and finite
  static Budget bits(double per_weight) {
    if (!(per_weight > 0.0) || !std::isfinite(per_weight)) {
      throw Error("budget", "bits per weight must be positive, not " + std::to_string(per_weight));
    }
    Budget budget;
    budget.bits_per_weight_ = per_weight;
    return budget;
  }

  /// The budget in bytes for that many weights.
  std::uint64_t for_weights(std::uint64_t weights) const noexcept {
    if (bits_per_weight_ == 0.0) return bytes_;
    return static_cast<std::uint64_t>(
        std::floor(bits_per_weight_ * static_cast<double>(weights) / 8.0));
  }

 private:
  Budget() = default;
  std::uint64_t bytes_ = 0;
  double bits_per_weight_ = 0.0;
};

inline namespace NASH_SWARM_TARGET {

/// Decides the format of every cell: here one format for a matrix, by one price for bytes.
/// @throws Error if the budget is below the smallest possible (which it names), or the model is empty
inline Plan allocate(const Model& model, const Budget& budget) {
  if (model.matrices().empty()) throw Error("model", "no matrices", "add matrices first");
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
  std::vector<std::shared_ptr<const InputBasis>> bases = distinct_bases(model.matrices());
  for (const ModelMatrix& matrix : model.matrices()) {
    // What is stored once for a shared basis is counted with its first matrix.
    const auto basis = std::find(bases.begin(), bases.end(), matrix.basis);
    const std::uint64_t basis_bytes = basis == bases.end() ? 0 : matrix.basis->stored_bytes();
    if (basis != bases.end()) bases.erase(basis);
    for (std::size_t f = 0; f < format_count; ++f) {
      bytes.push_back(matrix.payoff.bytes[f] + basis_bytes);
      loss.push_back(matrix.payoff.loss[f]);
    }
    first.push_back(bytes.size());
  }
  const Players players{first, bytes, loss};
  const std::uint64_t limit = budget.for_weights(model.weights());
  const Allocation allocation = allocate(players, limit);
  std::vector<MatrixPlan> plans;
  for (std::size_t m = 0; m < model.matrices().size(); ++m) {
    const ModelMatrix& matrix = model.matrices()[m];
    plans.push_back({matrix.name, matrix.out_features, matrix.in_features, matrix.basis,
                     CellMap(panel_count(matrix.out_features), block_count(matrix.in_features),
                             format_table[allocation.strategy[m]].id)});
  }
  return Plan(std::move(plans), certify(players, allocation.strategy, limit, allocation.price));
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
