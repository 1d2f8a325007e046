#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <nash_swarm/core/instruction_set.hpp>

#if NASH_SWARM_DEFINITIONS && defined(NASH_SWARM_X86_REGIONS)
#include <immintrin.h>
#elif NASH_SWARM_DEFINITIONS && defined(NASH_SWARM_NEON)
#include <arm_neon.h>
#endif

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// A cost that does not fit a byte; the past of such a window is given up for good. (If it could
/// become a cost again, one bad weight would buy several good ones.)
inline constexpr std::uint8_t too_dear = 255;

/// What a weight costs by the place of its window's value: entry i is for i places above `first`;
/// the last entry is for all other places.
struct GapCosts {
  /// Places below and above the nearest that have an entry.
  static constexpr int reach = 31;
  static constexpr int entries = 64;

  alignas(64) std::array<std::uint8_t, entries> cost;
  std::uint8_t first;

  std::uint8_t of(std::uint8_t place) const noexcept {
    return cost[std::min<std::uint8_t>(static_cast<std::uint8_t>(place - first), entries - 1)];
  }
};

/// What the costs of a weight are made from. Targets count eighths of places.
struct GapPrice {
  static constexpr int place_fraction = 8;
  static constexpr int price_shift = 18;

  int target;
  int first;            ///< place of the first entry; may be below 0
  std::uint32_t price;  ///< of a squared gap, in units of 2^−18; at most 65,535
};

/// Bytes that a step may read after its costs.
inline constexpr std::size_t costs_padding = 64;

/// One step of a Viterbi search over the windows of a stream: the stream grows by one weight.
///
/// Windows that will be the same once their highest bits are shifted out form a group; of each the
/// cheapest survives, since it is as good a past as any. Before the step there is a cost for each
/// group of windows without their highest `bits` bits; a step makes of every group its 2^bits
/// windows, adds what their values cost, and finds the least cost of every group without its
/// highest `next_bits` bits. Which window survived is found again on the way back, for one group a
/// step. Costs are bytes that saturate: on 64 lanes a step takes 6 instructions per 64 windows. All
/// arithmetic is in integers, so every instruction set chooses the same codes.
struct ViterbiStep {
  const std::uint8_t* places;  ///< [2^window_bits] of the windows' values
  const std::uint8_t* costs;   ///< [2^(window_bits − bits)] of the groups, and padding
  std::uint8_t* next_costs;    ///< [2^(window_bits − next_bits)]
  const GapCosts* gaps;
  unsigned window_bits;
  unsigned bits;       ///< 1 … 4
  unsigned next_bits;  ///< 1 … 4
  std::uint8_t base;   ///< what all costs are lowered by

  unsigned groups() const noexcept { return 1u << (window_bits - next_bits); }
  unsigned parts() const noexcept { return 1u << next_bits; }

  /// Cost of a window after the step.
  std::uint8_t cost(unsigned window) const noexcept {
    return static_cast<std::uint8_t>(
        std::min(255, costs[window >> bits] + gaps->of(places[window])));
  }
};

#if NASH_SWARM_DEFINITIONS

namespace portable {

#include <nash_swarm/rounding/gap_costs.inc>

/// @return the least of the new costs
inline std::uint8_t viterbi_step(const ViterbiStep& step) noexcept {
  std::uint8_t least = 255;
  for (unsigned g = 0; g < step.groups(); ++g) {
    std::uint8_t best = 255;
    for (unsigned part = 0; part < step.parts(); ++part) {
      best = std::min(best, step.cost(part * step.groups() + g));
    }
    if (best != too_dear) {
      best = best > step.base ? static_cast<std::uint8_t>(best - step.base) : 0;
    }
    step.next_costs[g] = best;
    least = std::min(least, step.next_costs[g]);
  }
  return least;
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
#include <nash_swarm/core/region_avx512vnni.inc>
#define NASH_SWARM_NARROWER avx2
#include <nash_swarm/rounding/viterbi_step.inc>
#undef NASH_SWARM_NARROWER
#include <nash_swarm/core/region_end.inc>
#elif defined(NASH_SWARM_NEON)
#define NASH_SWARM_REGION neon
#define NASH_SWARM_NARROWER portable
#include <nash_swarm/rounding/viterbi_step.inc>
#undef NASH_SWARM_NARROWER
#undef NASH_SWARM_REGION
#endif
// clang-format on

#endif

/// What a search is made of, in one instruction set.
struct ViterbiFunctions {
  void (*price_gaps)(GapPrice, GapCosts&) noexcept;
  std::uint8_t (*step)(const ViterbiStep&) noexcept;
};

NASH_SWARM_FUNCTION ViterbiFunctions viterbi_functions_for(InstructionSet set) noexcept;

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION ViterbiFunctions viterbi_functions_for(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (set == InstructionSet::avx512vnni) {
    return {&avx512vnni::price_gaps, &avx512vnni::viterbi_step};
  }
  if (base_set(set) == InstructionSet::avx2) return {&avx2::price_gaps, &avx2::viterbi_step};
#elif defined(NASH_SWARM_NEON)
  if (base_set(set) == InstructionSet::neon) return {&neon::price_gaps, &neon::viterbi_step};
#endif
  static_cast<void>(set);
  return {&portable::price_gaps, &portable::viterbi_step};
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
