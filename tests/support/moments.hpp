#pragma once

#include <cstddef>
#include <random>
#include <vector>

namespace support {

/// Rows of Gaussians in which neighbouring channels are correlated and channels differ in size.
inline std::vector<float> correlated(std::size_t rows, std::size_t columns, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(rows * columns);
  for (std::size_t r = 0; r < rows; ++r) {
    float previous = normal(engine);
    for (std::size_t k = 0; k < columns; ++k) {
      previous = 0.8f * previous + 0.6f * normal(engine);
      values[r * columns + k] = previous * (k % 7 == 0 ? 2.0f : 0.5f);
    }
  }
  return values;
}

}  // namespace support
