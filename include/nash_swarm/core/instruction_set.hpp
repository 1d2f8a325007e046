#pragma once

#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>

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

/// Sets of instructions that code is compiled for beside the flags of the including file, narrow
/// ones first. `avx512` is that of Ice Lake and Zen 4, with byte permutations and dot products of
/// bytes (VBMI, VBMI2, VNNI).
enum class InstructionSet : std::uint8_t { portable, neon, avx2, avx512 };

struct InstructionSetName {
  InstructionSet set;
  std::string_view name;
};
inline constexpr InstructionSetName instruction_sets[] = {{InstructionSet::portable, "portable"},
                                                          {InstructionSet::neon, "neon"},
                                                          {InstructionSet::avx2, "avx2"},
                                                          {InstructionSet::avx512, "avx512"}};

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

/// @throws Error for a name that is unknown, or a set that this machine lacks
inline InstructionSet instruction_set_named(std::string_view name) {
  std::string known;
  for (const InstructionSetName& entry : instruction_sets) {
    if (entry.name == name && is_supported(entry.set)) return entry.set;
    if (is_supported(entry.set)) known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  throw Error("instruction set", "this machine has no \"" + std::string(name) + "\"",
              "use " + known);
}

/// The set that is used unless another is asked for: the widest that this machine has, or the one
/// that the environment variable NASH_SWARM_INSTRUCTION_SET names at the first call.
/// @throws Error as `instruction_set_named`
inline InstructionSet default_instruction_set() {
  static const InstructionSet set = [] {
    const char* const named = std::getenv("NASH_SWARM_INSTRUCTION_SET");
    if (named != nullptr && *named != '\0') return instruction_set_named(named);
    InstructionSet widest = InstructionSet::portable;
    for (const InstructionSetName& entry : instruction_sets) {
      if (is_supported(entry.set)) widest = entry.set;
    }
    return widest;
  }();
  return set;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
