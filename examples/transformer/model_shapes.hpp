#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "transformer/config.hpp"

namespace transformer {

/// What a weight matrix is for. The tied embedding is both: its rows are looked up at the start and
/// multiplied by the final hidden states at the end.
enum class MatrixRole { layer, embedding, head, tied_embedding };

/// A weight matrix [out, in].
struct MatrixShape {
  std::string name;
  std::size_t out = 0;
  std::size_t in = 0;
  MatrixRole role = MatrixRole::layer;
  std::size_t layer = 0;  ///< index of its layer
  /// Matrices of the same number read the same input; by the first of them.
  std::size_t input = 0;
  std::size_t rows_per_head = 0;  ///< of queries, keys and values; 0 for the other matrices
};

/// The matrices of the layers in the order of computation, then the tied embedding, or embedding
/// and head.
std::vector<MatrixShape> matrix_shapes(const Config& config);

/// True if the checkpoints of the family store the matrix as [in, out].
bool is_stored_input_first(const Config& config, const MatrixShape& matrix);

/// The shape in which checkpoints of the family store the matrix.
std::vector<std::size_t> stored_shape(const Config& config, const MatrixShape& matrix);

/// A tensor that no multiplication reads: position embedding, biases, norms.
struct TensorShape {
  std::string name;
  std::vector<std::size_t> shape;
};

/// Those before the layers, then those of the layers in the order of computation, then the final
/// norm's.
std::vector<TensorShape> other_tensor_shapes(const Config& config);

/// Name of the matrix whose products are the logits.
std::string head_name(const Config& config);

}  // namespace transformer
