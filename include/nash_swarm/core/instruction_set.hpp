#pragma once

#include <cstdint>
#include <initializer_list>

#include <nash_swarm/core/config.hpp>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
/// Defined where regions of files can be compiled for x86 instruction sets that the file's flags do
/// not name.
#define NASH_SWARM_X86_REGIONS 1
#endif

#if defined(__aarch64__) && defined(__ARM_NEON)
/// Defined where NEON is part of every machine.
#define NASH_SWARM_NEON 1
#endif

namespace nash_swarm {

/// Sets of instructions that code is compiled for beside the flags of the including file.
/// `avx512` is that of Ice Lake and Zen 4, with byte permutations and
/// dot products of bytes (VBMI, VBMI2, VNNI).
enum class InstructionSet : std::uint8_t { portable, avx2, avx512, neon };

inline namespace NASH_SWARM_TARGET {

/// True if this machine has the instructions.
inline bool is_supported(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
  if (set == InstructionSet::avx2) return avx2;
  if (set == InstructionSet::avx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("avx512vnni");
  }
#elif defined(NASH_SWARM_NEON)
  if (set == InstructionSet::neon) return true;
#endif
  return set == InstructionSet::portable;
}

/// The widest set that this machine has.
inline InstructionSet widest_instruction_set() noexcept {
  static const InstructionSet widest = [] {
    for (const InstructionSet set :
         {InstructionSet::avx512, InstructionSet::avx2, InstructionSet::neon}) {
      if (is_supported(set)) return set;
    }
    return InstructionSet::portable;
  }();
  return widest;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
