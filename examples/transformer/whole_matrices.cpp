#include "transformer/whole_matrices.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

#include <nash_swarm/format/formats.hpp>
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/certificate.hpp>

namespace transformer {
namespace {

using nash_swarm::MatrixPlan;

MatrixPlan in_one_format(const MatrixPlan& matrix, std::size_t format) {
  MatrixPlan plan = matrix;
  plan.cells = nash_swarm::CellMap(nash_swarm::panel_count(matrix.out_features),
                                   nash_swarm::block_count(matrix.in_features),
                                   nash_swarm::format_table[format].id);
  return plan;
}

/// A shared basis counts with the first matrix that uses it.
std::vector<std::uint64_t> basis_bytes(const std::vector<MatrixPlan>& matrices) {
  std::vector<std::uint64_t> bytes;
  std::vector<std::shared_ptr<const nash_swarm::InputBasis>> uncounted =
      nash_swarm::distinct_bases(matrices);
  for (const MatrixPlan& matrix : matrices) {
    const bool first = std::erase(uncounted, matrix.basis) != 0;
    bytes.push_back(first ? matrix.basis->stored_bytes() : 0);
  }
  return bytes;
}

}  // namespace

nash_swarm::Plan allocate_whole_matrices(const nash_swarm::Model& model,
                                         const std::vector<MatrixPlan>& matrices,
                                         const nash_swarm::Budget& budget,
                                         const nash_swarm::Rules& rules) {
  std::vector<std::string> names;
  for (const MatrixPlan& matrix : matrices) names.push_back(matrix.name);
  const std::vector<std::vector<std::uint32_t>> formats = nash_swarm::allowed_formats(rules, names);
  const std::vector<std::uint64_t> bases = basis_bytes(matrices);
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> losses;
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    for (const std::uint32_t format : formats[m]) {
      bytes.push_back(bases[m] + nash_swarm::stored_bytes(matrices[m].out_features,
                                                          in_one_format(matrices[m], format).cells,
                                                          matrices[m].order));
      losses.push_back(model.matrices()[m].payoff.loss(format));
    }
    first.push_back(bytes.size());
  }
  const nash_swarm::Game game(nash_swarm::Players{first, bytes, losses});
  const std::uint64_t limit = budget.for_weights(model.weights());
  const nash_swarm::Allocation allocation = nash_swarm::allocate(game, limit);
  std::vector<MatrixPlan> plans;
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    plans.push_back(in_one_format(matrices[m], formats[m][allocation.strategy[m]]));
  }
  return nash_swarm::Plan(std::move(plans),
                          nash_swarm::certify(game, allocation.strategy, limit, allocation.price,
                                              allocation.y, allocation.time_price));
}

}  // namespace transformer
