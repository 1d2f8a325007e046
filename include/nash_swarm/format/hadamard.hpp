#pragma once

#include <cstddef>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Walsh-Hadamard transform in place, not normalised: values becomes H · values with entries ±1, so
/// that applying it twice multiplies by `size`. `size` is a power of two; O(size · log size).
/// Additions and subtractions in a fixed tree, so the result is the same bits on every machine.
inline void hadamard_transform(float* values, std::size_t size) noexcept {
  for (std::size_t half = 1; half < size; half *= 2) {
    for (std::size_t start = 0; start < size; start += 2 * half) {
      float* low = values + start;
      float* high = low + half;
      for (std::size_t i = 0; i < half; ++i) {
        const float a = low[i];
        const float b = high[i];
        low[i] = a + b;
        high[i] = a - b;
      }
    }
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
