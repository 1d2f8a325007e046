#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>

#include "matrix.hpp"

namespace gguf {

/// Some rows of a matrix, or errors of them.
struct Rows {
  std::span<const std::size_t> place;  ///< [count] in the matrix, ascending
  std::span<const float> values;       ///< [count, in]
};

/// What errors in the rows of a matrix cost: share · eᵀHe, with the moments H of the row's group
/// and the row's share, where there is a calibration; else their squares under the imatrix, or
/// plain.
class ErrorCost {
 public:
  /// @throws nash_swarm::Error naming the matrix for a calibration or imatrix of another shape
  explicit ErrorCost(const Matrix& matrix);

  /// The cost with channels taken apart: only the diagonal of H counts.
  double diagonal(const Rows& rows) const;

  /// The same of all rows of the matrix as errors of themselves.
  double diagonal_of_weights() const;

  /// The cost under the whole of H, of several errors of the same rows.
  /// @param errors [kinds][count, in]
  /// @return [kinds]; does not depend on the number of threads
  std::vector<double> full(std::span<const std::size_t> place,
                           const std::vector<std::vector<float>>& errors,
                           nash_swarm::ThreadPool& pool) const;

 private:
  double share(std::size_t row) const;
  std::size_t group_of(std::size_t row) const;
  void add_band(std::size_t group, std::size_t band, std::span<const std::size_t> place,
                const std::vector<std::vector<float>>& errors, std::vector<double>& costs) const;

  const Matrix& matrix_;
  std::vector<std::vector<double>> diagonal_;  // [groups][in]
};

}  // namespace gguf
