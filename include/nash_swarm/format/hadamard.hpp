#pragma once

#include <cstddef>
#include <cstring>
#include <utility>

#include <nash_swarm/core/instruction_set.hpp>

namespace nash_swarm {
namespace detail {

/// Randomised Walsh-Hadamard transforms of a block, in one instruction set: H has entries ±1 and is
/// not normalised, so that applying it twice multiplies by the size. Additions and subtractions in
/// a fixed tree, so every instruction set gives the same bits. `size` is a power of two from 64 on;
/// O(size · log size).
struct Rotation {
  /// target becomes H · (signs · source). Both may be the same.
  void (*rotate)(const float* source, const float* signs, float* target, std::size_t size) noexcept;
  /// values becomes scale · signs · (H · values).
  void (*rotate_back)(float* values, const float* signs, float scale, std::size_t size) noexcept;
};

#if NASH_SWARM_DEFINITIONS
namespace hadamard {
inline namespace NASH_SWARM_TARGET {

#define NASH_SWARM_TEXT <nash_swarm/format/hadamard.inc>
#include <nash_swarm/core/float_regions.inc>

}  // namespace NASH_SWARM_TARGET
}  // namespace hadamard
#endif

inline namespace NASH_SWARM_TARGET {

/// @param set one that this machine has
NASH_SWARM_FUNCTION const Rotation& rotation_for(InstructionSet set) noexcept;

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION const Rotation& rotation_for(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  const InstructionSet own = float_set(set);
  if (own == InstructionSet::avx512vnni_bw) return hadamard::avx512vnni_bw::rotation;
  if (own == InstructionSet::avx2) return hadamard::avx2::rotation;
#endif
  static_cast<void>(set);
  return hadamard::portable::rotation;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
