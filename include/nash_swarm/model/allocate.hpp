#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/model/model.hpp>
#include <nash_swarm/model/plan.hpp>
#include <nash_swarm/model/rules.hpp>

#if NASH_SWARM_DEFINITIONS
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/model/cell_game.hpp>
#include <nash_swarm/model/coupled_game.hpp>
#endif

namespace nash_swarm {

/// How many bytes the matrices of a model may take, all in.
class Budget {
 public:
  NASH_SWARM_KEYED static Budget bytes(std::uint64_t count) {
    Budget budget;
    budget.bytes_ = count;
    return budget;
  }
  /// All-in bits per weight, averaged over the matrices.
  /// @throws Error unless the figure is positive and finite
  NASH_SWARM_KEYED static Budget bits(double per_weight) {
    if (!(per_weight > 0.0) || !std::isfinite(per_weight)) {
      throw Error("budget", "bits per weight must be positive, not " + std::to_string(per_weight));
    }
    Budget budget;
    budget.bits_per_weight_ = per_weight;
    return budget;
  }

  /// The budget in bytes for that many weights.
  NASH_SWARM_KEYED std::uint64_t for_weights(std::uint64_t weights) const noexcept {
    if (bits_per_weight_ == 0.0) return bytes_;
    const double bytes = std::floor(bits_per_weight_ * static_cast<double>(weights) / 8.0);
    constexpr double most = 0x1p63;  // more than any plan takes
    return static_cast<std::uint64_t>(std::min(bytes, most));
  }

 private:
  Budget() = default;
  std::uint64_t bytes_ = 0;
  double bits_per_weight_ = 0.0;
};

inline namespace NASH_SWARM_TARGET {

/// Decides the format of every cell of a model, a block of 64 channels of a panel of 16 rows. Cells
/// are the players, or, if the matrices of the model disturb each other, the matrices.
/// @throws Error if the budget is below the smallest possible (which it names), the model is empty,
///         or the rules cannot be kept
NASH_SWARM_FUNCTION Plan allocate(const Model& model, const Budget& budget,
                                  const Rules& rules = {});

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION Plan allocate(const Model& model, const Budget& budget, const Rules& rules) {
  const std::uint64_t limit = budget.for_weights(model.weights());
  if (model.coupled()) return CoupledGame(model, rules).allocate(limit);
  const CellGame cells(model, rules);
  const Allocation allocation = allocate(cells.game(), limit);
  return Plan(cells.plans(allocation.strategy),
              certify(cells.game(), allocation.strategy, limit, allocation.price, allocation.y,
                      allocation.time_price));
}
#endif

/// Certifies cells that somebody else has chosen.
/// @param plans for all matrices of the model, in their order
/// @param price proves the lower bound; any price of 0 or more does, some better than others
/// @param y the same where matrices disturb each other; empty for the sum of their headings
/// @throws Error if the plans do not fit the model, the rules or the budget
NASH_SWARM_FUNCTION Plan certify(const Model& model, std::vector<MatrixPlan> plans,
                                 std::uint64_t budget, double price, const Rules& rules = {},
                                 std::span<const double> y = {});

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION Plan certify(const Model& model, std::vector<MatrixPlan> plans,
                                   std::uint64_t budget, double price, const Rules& rules,
                                   std::span<const double> y) {
  if (model.coupled()) {
    return CoupledGame(model, rules).certify(std::move(plans), budget, price, y);
  }
  const CellGame cells(model, rules);
  Certificate certificate = certify(cells.game(), cells.strategy(plans), budget, price);
  return Plan(std::move(plans), std::move(certificate));
}
#endif

/// The plan with the fewest bytes under the rules: every matrix in its smallest format.
/// @param matrices whose cells are overwritten
/// @throws Error for rules that cannot be kept
NASH_SWARM_FUNCTION std::vector<MatrixPlan> smallest_plan(std::vector<MatrixPlan> matrices,
                                                          const Rules& rules = {});

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION std::vector<MatrixPlan> smallest_plan(std::vector<MatrixPlan> matrices,
                                                            const Rules& rules) {
  std::vector<std::string> names;
  for (const MatrixPlan& matrix : matrices) names.push_back(matrix.name);
  const std::vector<std::vector<std::uint32_t>> formats = allowed_formats(rules, names);
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    matrices[m].cells =
        CellMap(panel_count(matrices[m].out_features), block_count(matrices[m].in_features),
                format_table[formats[m].front()].id);
  }
  return matrices;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
