#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <nash_swarm/core/instruction_set.hpp>

#if defined(NASH_SWARM_X86_REGIONS)
#include <immintrin.h>
#endif

namespace nash_swarm {
namespace detail {

/// One step of a Viterbi search over the windows of a stream: the stream grows by one weight.
///
/// Windows that will be the same once their highest bits are shifted out form a group; of each the
/// cheapest survives, since it is as good a past as any. Before the step there is a cost for each
/// group of windows without their highest `bits` bits; a step makes of every group its 2^bits
/// windows, adds what they miss of the target, and finds the cheapest window of every group without
/// its highest `next_bits` bits. A cost is 16 bits wide; its lowest `next_bits` name the survivor
/// while the minimum is sought, and are 0 in between. All arithmetic is in integers, so every
/// instruction set chooses the same codes.
struct ViterbiStep {
  const std::int16_t* values;  ///< [2^window_bits] of the windows
  const std::uint16_t* costs;  ///< [2^(window_bits − bits)] of the groups
  std::uint16_t* next_costs;   ///< [2^(window_bits − next_bits)]
  std::uint8_t* choices;       ///< [2^(window_bits − next_bits)] highest bits of the survivors
  unsigned window_bits;
  unsigned bits;       ///< 1 … 4
  unsigned next_bits;  ///< 1 … 4
  std::int16_t target;
  std::int16_t factor;  ///< of the values, over 2^15
  unsigned doublings;   ///< 0 … 2, of the gap before the high half of its square is taken
  std::uint16_t base;   ///< what all costs are lowered by
};

inline namespace NASH_SWARM_TARGET {
namespace portable {

inline std::int32_t saturated(std::int32_t value) noexcept {
  return std::clamp<std::int32_t>(value, -32768, 32767);
}

/// @return the least of the new costs
inline std::uint16_t viterbi_step(const ViterbiStep& step) noexcept {
  const unsigned groups = 1u << (step.window_bits - step.next_bits);
  const unsigned parts = 1u << step.next_bits;
  std::uint32_t least = 0xffff;
  for (unsigned g = 0; g < groups; ++g) {
    std::uint32_t best = 0xffff;
    for (unsigned part = 0; part < parts; ++part) {
      const unsigned window = part * groups + g;
      const std::int32_t value =
          saturated((std::int32_t{step.values[window]} * step.factor + 0x4000) >> 15);
      std::int32_t gap = saturated(step.target - value);
      for (unsigned d = 0; d < step.doublings; ++d) gap = saturated(2 * gap);
      const std::uint32_t cost =
          step.costs[window >> step.bits] + static_cast<std::uint32_t>((gap * gap) >> 16);
      best = std::min(best, (std::min(cost, 0xffffu) & ~(parts - 1)) | part);
    }
    const std::uint32_t kept = best & ~(parts - 1);
    step.choices[g] = static_cast<std::uint8_t>(best & (parts - 1));
    step.next_costs[g] = static_cast<std::uint16_t>(kept > step.base ? kept - step.base : 0);
    least = std::min<std::uint32_t>(least, step.next_costs[g]);
  }
  return static_cast<std::uint16_t>(least);
}

}  // namespace portable

// The order of these files matters.
// clang-format off
#if defined(NASH_SWARM_X86_REGIONS)
#include <nash_swarm/core/region_avx2.inc>
#define NASH_SWARM_NARROWER portable
#include <nash_swarm/rounding/viterbi_step.inc>
#undef NASH_SWARM_NARROWER
#include <nash_swarm/core/region_end.inc>
#include <nash_swarm/core/region_avx512.inc>
#define NASH_SWARM_NARROWER avx2
#include <nash_swarm/rounding/viterbi_step.inc>
#undef NASH_SWARM_NARROWER
#include <nash_swarm/core/region_end.inc>
#endif
// clang-format on

using ViterbiStepFunction = std::uint16_t (*)(const ViterbiStep&) noexcept;

inline ViterbiStepFunction viterbi_step_for(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (set == InstructionSet::avx512) return &avx512::viterbi_step;
  if (set == InstructionSet::avx2) return &avx2::viterbi_step;
#endif
  static_cast<void>(set);
  return &portable::viterbi_step;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
