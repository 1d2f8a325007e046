#pragma once

#include <array>
#include <cstddef>
#include <cstring>

#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/format/panel.hpp>

namespace nash_swarm {
namespace detail {

/// One number for every row of a panel.
using PanelColumn = std::array<float, panel_rows>;

/// targets[j] += Σ_k shares[k·stride + j] · columns[k]: what feedback adds to later channels. It is
/// most of the time that rounding takes, but for searches of long windows.
struct ErrorSpread {
  const float* shares;
  std::size_t stride;
  const PanelColumn* columns;
  std::size_t columns_count;
  PanelColumn* targets;
  std::size_t targets_count;
};

inline namespace NASH_SWARM_TARGET {

#if NASH_SWARM_DEFINITIONS
#define NASH_SWARM_TEXT <nash_swarm/rounding/error_spread.inc>
#include <nash_swarm/core/float_regions.inc>
#endif

/// Sums are rounded in ways that depend on the instruction set.
NASH_SWARM_FUNCTION auto spread_function_for(InstructionSet set) noexcept
    -> void (*)(const ErrorSpread&) noexcept;

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION auto spread_function_for(InstructionSet set) noexcept
    -> void (*)(const ErrorSpread&) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  const InstructionSet own = float_set(set);
  if (own == InstructionSet::avx512vnni_bw) return &avx512vnni_bw::spread_errors;
  if (own == InstructionSet::avx2) return &avx2::spread_errors;
#endif
  static_cast<void>(set);
  return &portable::spread_errors;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
