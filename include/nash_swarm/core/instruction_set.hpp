#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/result.hpp>

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
/// Defined where regions of files can be compiled for x86 instruction sets that the file's flags do
/// not name.
#define NASH_SWARM_X86_REGIONS 1
#include <cpuid.h>
#endif

#if defined(__aarch64__) && defined(__ARM_NEON)
/// Defined where NEON is part of every machine.
#define NASH_SWARM_NEON 1
#if defined(__linux__)
#include <sys/auxv.h>
#endif
#endif

namespace nash_swarm {

/// Sets of instructions that code is compiled for beside the flags of the including file, narrow
/// ones first. `neon_dotprod` and `avxvnni` are NEON and AVX2 with dot products of bytes.
/// `avx512vnni` is AVX-512 of Ice Lake and Zen 4, with those and byte permutations (VBMI, VBMI2),
/// `avx512vnni_bw` that of Cascade Lake, without such permutations.
enum class InstructionSet : std::uint8_t {
  portable,
  neon,
  neon_dotprod,
  avx2,
  avxvnni,
  avx512vnni_bw,
  avx512vnni
};

struct InstructionSetName {
  InstructionSet set;
  std::string_view name;
};
inline constexpr InstructionSetName instruction_sets[] = {
    {InstructionSet::portable, "portable"},
    {InstructionSet::neon, "neon"},
    {InstructionSet::neon_dotprod, "neon_dotprod"},
    {InstructionSet::avx2, "avx2"},
    {InstructionSet::avxvnni, "avxvnni"},
    {InstructionSet::avx512vnni_bw, "avx512vnni_bw"},
    {InstructionSet::avx512vnni, "avx512vnni"},
};

/// The set whose code serves where this one has none, which needs no dot products of bytes.
NASH_SWARM_KEYED constexpr InstructionSet base_set(InstructionSet set) noexcept {
  if (set == InstructionSet::neon_dotprod) return InstructionSet::neon;
  if (set == InstructionSet::avxvnni || set == InstructionSet::avx512vnni_bw) {
    return InstructionSet::avx2;
  }
  return set;
}

/// The set whose code for floats serves: one of those of `core/float_regions.inc`.
NASH_SWARM_KEYED constexpr InstructionSet float_set(InstructionSet set) noexcept {
  switch (set) {
    case InstructionSet::avx512vnni:
    case InstructionSet::avx512vnni_bw:
      return InstructionSet::avx512vnni_bw;
    case InstructionSet::avxvnni:
    case InstructionSet::avx2:
      return InstructionSet::avx2;
    default:
      return InstructionSet::portable;
  }
}

namespace detail {
inline namespace NASH_SWARM_TARGET {

#if defined(NASH_SWARM_X86_REGIONS)
/// AVX-VNNI, which the __builtin_cpu_supports of clang 14 does not know. Virtual machines trap
/// cpuid, so it is asked once.
inline bool has_avxvnni() noexcept {
  static const bool has = [] {
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax & (1u << 4)) != 0;
  }();
  return has;
}
#elif defined(NASH_SWARM_NEON)
/// NEON's dot product, where the flags of the file take it for granted (as they do on macOS) or
/// Linux tells of it.
inline bool has_neon_dotprod() noexcept {
#if defined(__ARM_FEATURE_DOTPROD)
  return true;
#elif defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// True if this machine has the instructions.
inline bool is_supported(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt");
  if (set == InstructionSet::avx2) return avx2;
  if (set == InstructionSet::avxvnni) return avx2 && detail::has_avxvnni();
  const bool avx512vnni_bw =
      avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vnni");
  if (set == InstructionSet::avx512vnni_bw) return avx512vnni_bw;
  if (set == InstructionSet::avx512vnni) {
    return avx512vnni_bw && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512vbmi2");
  }
#elif defined(NASH_SWARM_NEON)
  if (set == InstructionSet::neon) return true;
  if (set == InstructionSet::neon_dotprod) return detail::has_neon_dotprod();
#endif
  return set == InstructionSet::portable;
}

/// The set of that name, or the error that the name is unknown or this machine lacks the set.
/// @param subject of the error: who named it
inline Result<InstructionSet> instruction_set_named(
    std::string_view name, const std::string& subject = "instruction set") {
  std::string known;
  for (const InstructionSetName& entry : instruction_sets) {
    if (entry.name == name && is_supported(entry.set)) return entry.set;
    if (is_supported(entry.set)) known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error(subject, "this machine has no \"" + std::string(name) + "\"", "use " + known);
}

/// The set that is used unless another is asked for: the widest that this machine has, or the one
/// that the environment variable NASH_SWARM_INSTRUCTION_SET names at the first call; an error as of
/// `instruction_set_named`.
inline const Result<InstructionSet>& try_default_instruction_set() {
  static const Result<InstructionSet> set = []() -> Result<InstructionSet> {
    const char* const variable = "NASH_SWARM_INSTRUCTION_SET";
    const char* const named = std::getenv(variable);
    if (named != nullptr && *named != '\0') return instruction_set_named(named, variable);
    InstructionSet widest = InstructionSet::portable;
    for (const InstructionSetName& entry : instruction_sets) {
      if (is_supported(entry.set)) widest = entry.set;
    }
    return widest;
  }();
  return set;
}

/// As `try_default_instruction_set`.
/// @throws Error instead of returning it
inline InstructionSet default_instruction_set() {
  const Result<InstructionSet>& set = try_default_instruction_set();
  if (!set) detail::raise(set.error());
  return *set;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
