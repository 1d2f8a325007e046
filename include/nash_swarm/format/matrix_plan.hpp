#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nash_swarm/format/packed_matrix.hpp>

namespace nash_swarm {

/// How one matrix is to be packed.
struct MatrixPlan {
  std::string name;
  std::size_t out_features = 0;
  std::size_t in_features = 0;
  std::shared_ptr<const InputBasis> basis;  ///< may be shared with other matrices
  CellMap cells;
  RowOrder order{};  ///< of the rows in the panels of the cells
};

inline namespace NASH_SWARM_TARGET {

/// The bases of some matrices, each once, in the order of their first use.
/// @param matrices anything with a `basis` member that is a shared pointer
template <class Matrix>
std::vector<std::shared_ptr<const InputBasis>> distinct_bases(const std::vector<Matrix>& matrices) {
  std::vector<std::shared_ptr<const InputBasis>> bases;
  for (const Matrix& matrix : matrices) {
    if (std::find(bases.begin(), bases.end(), matrix.basis) == bases.end()) {
      bases.push_back(matrix.basis);
    }
  }
  return bases;
}

/// All-in bytes of the matrices once they are packed; a shared basis counts once.
inline std::uint64_t planned_bytes(const std::vector<MatrixPlan>& matrices) {
  std::uint64_t bytes = 0;
  for (const auto& basis : distinct_bases(matrices)) bytes += basis->stored_bytes();
  for (const MatrixPlan& matrix : matrices) {
    bytes += stored_bytes(matrix.out_features, matrix.cells, matrix.order);
  }
  return bytes;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
