#pragma once

#include <cstddef>
#include <vector>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/kernel/matmul.hpp>

namespace support {

/// The weights [out, in] that a packed matrix stands for.
inline std::vector<float> decoded(const nash_swarm::PackedMatrix& matrix) {
  const std::size_t in = matrix.in_features();
  std::vector<float> weights(matrix.out_features() * in);
  for (std::size_t row = 0; row < matrix.out_features(); ++row) {
    nash_swarm::decode_row(matrix, row,
                           nash_swarm::TensorView<float, 1>(weights.data() + row * in, {in}));
  }
  return weights;
}

}  // namespace support
