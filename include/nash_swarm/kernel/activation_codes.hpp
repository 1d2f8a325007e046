#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/format/panel.hpp>

#if NASH_SWARM_DEFINITIONS && defined(NASH_SWARM_X86_REGIONS)
#include <immintrin.h>
#elif NASH_SWARM_DEFINITIONS && defined(NASH_SWARM_NEON)
#include <arm_neon.h>
#endif

namespace nash_swarm {
namespace detail {

/// Codes are −127 … 127.
inline constexpr int most_code = 127;

/// What a code is of an integer: all of it, or one of two digits, integer = 255 · high + low. Every
/// integer from −32,385 to 32,385 has such digits, and only one pair of them.
enum class Digit { only, high, low };
inline constexpr int digit_base = 2 * most_code + 1;

/// Where the codes of consecutive channels of a row go, from a block of 64 channels on.
struct CodePlace {
  std::size_t rows;    // that lie side by side
  std::int8_t* lanes;  // four codes, then those of the other rows
  std::int8_t* pairs;  // nullptr unless the row is alone
  std::uint32_t* sum_before;  // of the codes before the block, mod 2^32
};

/// What rounding is made of, in one instruction set. Sizes are multiples of 64 channels.
struct ActivationRounding {
  using Round = void (*)(const float* values, float factor, std::size_t size,
                         CodePlace to) noexcept;

  /// Largest magnitude, or NaN if a value is NaN or infinite.
  float (*largest_magnitude)(const float* values, std::size_t size) noexcept;
  /// Codes of values times a factor, rounded to the nearest integers, ties to even.
  Round codes;
  /// Digits of integers of two.
  Round high_digits;
  Round low_digits;
};

#if NASH_SWARM_DEFINITIONS
/// Rounding of activations, once per instruction set, with the same bits.
namespace activation_codes {
inline namespace NASH_SWARM_TARGET {

#define NASH_SWARM_TEXT <nash_swarm/kernel/activation_codes.inc>
#include <nash_swarm/core/float_regions.inc>

}  // namespace NASH_SWARM_TARGET
}  // namespace activation_codes
#endif

inline namespace NASH_SWARM_TARGET {

/// @param set one that this machine has
NASH_SWARM_FUNCTION const ActivationRounding& activation_rounding_for(InstructionSet set) noexcept;

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION const ActivationRounding& activation_rounding_for(
    InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  const InstructionSet own = float_set(set);
  if (own == InstructionSet::avx512vnni_bw) return activation_codes::avx512vnni_bw::rounding;
  if (own == InstructionSet::avx2) return activation_codes::avx2::rounding;
#endif
  static_cast<void>(set);
  return activation_codes::portable::rounding;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
