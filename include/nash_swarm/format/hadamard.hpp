#pragma once

#include <cstddef>
#include <cstring>
#include <utility>

#include <nash_swarm/core/instruction_set.hpp>

namespace nash_swarm {
namespace detail {

/// Walsh-Hadamard transforms: values becomes H · values with entries ±1, not normalised, so that
/// applying it twice multiplies by the size. Additions and subtractions in a fixed tree, so every
/// instruction set gives the same bits.
#if NASH_SWARM_DEFINITIONS
namespace hadamard {
inline namespace NASH_SWARM_TARGET {

#define NASH_SWARM_TEXT <nash_swarm/format/hadamard.inc>
#include <nash_swarm/core/float_regions.inc>

}  // namespace NASH_SWARM_TARGET
}  // namespace hadamard
#endif

inline namespace NASH_SWARM_TARGET {

/// Randomised transforms of a block in place, in one instruction set. `size` is a power of two from
/// 64 on; O(size · log size).
struct Rotation {
  /// values becomes H · (signs · values).
  void (*rotate)(float* values, const float* signs, std::size_t size) noexcept;
  /// values becomes scale · signs · (H · values).
  void (*rotate_back)(float* values, const float* signs, float scale, std::size_t size) noexcept;
};

/// Vectors of eight serve AVX-512 as well: there is little to do. Those of four are NEON's own.
/// @param set one that this machine has
NASH_SWARM_FUNCTION Rotation rotation_for(InstructionSet set) noexcept;

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION Rotation rotation_for(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (set != InstructionSet::portable) {
    return {&hadamard::avx2::rotate, &hadamard::avx2::rotate_back};
  }
#endif
  static_cast<void>(set);
  return {&hadamard::portable::rotate, &hadamard::portable::rotate_back};
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
