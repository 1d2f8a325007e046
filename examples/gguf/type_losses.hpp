#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>

#include "matrix.hpp"

namespace gguf {

/// What a matrix takes and loses if all of it is stored in one type.
struct TypeLoss {
  std::string_view type;  ///< as in the table of GGUF types
  std::uint64_t bytes;
  double loss;
};

/// What a matrix takes and loses in every type that its rows can have: F16, BF16 and those of
/// `block_schemes`, unless a row is not made of whole blocks, as in llama.cpp.
///
/// With gradients the loss is in nats: ½ Σ share · eᵀHe over the errors e of the rows, as in
/// matrix_payoff. Without, it is the squared error relative to the weights, both under the moments
/// of the inputs or else the imatrix, times the number of weights, so that any weight's relative
/// error matters alike, as there. (If instead any matrix's did, the bundled model's KLD at 3.44 bits
/// would be .133, against .052 with Q3_K for all and .027 with gradients.)
///
/// Of a large matrix only evenly spaced rows are rounded, and their ratio of error to weight is
/// taken for that of all rows.
/// @param sampled_weights about so many are rounded, fewer where products with moments would take
///   longer; at least 64 rows
/// @throws nash_swarm::Error naming the matrix for NaN or infinity in a row that is read, and for
///   a calibration or imatrix of another shape
std::vector<TypeLoss> type_losses(const Matrix& matrix, nash_swarm::ThreadPool& pool,
                                  std::size_t sampled_weights = std::size_t{1} << 20);

}  // namespace gguf
