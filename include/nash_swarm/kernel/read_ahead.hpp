#pragma once

#include <cstddef>
#include <cstdint>

#include <nash_swarm/core/instruction_set.hpp>

namespace nash_swarm::detail {

/// How codes are asked for before their turn: so many bytes ahead, a line in every `step` bytes (none
/// if 0), kept in near caches as the compiler counts them (3: all).
struct ReadAhead {
  std::size_t distance;
  std::size_t step;
  int locality;
};

/// What is asked for far ahead, and what again shortly before its turn.
struct ReadAheads {
  ReadAhead far;
  ReadAhead near = {0, 0, 0};
};

/// What a core fetches of memory when a line is asked for. It makes no results, only waiting.
enum class LineFetch : std::uint8_t {
  single,
  /// The line beside it as well: those of AMD (measured on a Zen 4).
  in_pairs
};

inline namespace NASH_SWARM_TARGET {

/// That of this machine.
inline LineFetch line_fetch() noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (__builtin_cpu_is("amd")) return LineFetch::in_pairs;
#endif
  return LineFetch::single;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm::detail
