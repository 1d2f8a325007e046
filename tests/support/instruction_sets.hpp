#pragma once

#include <string>
#include <vector>

#include <nash_swarm/core/instruction_set.hpp>

namespace support {

/// Those that this machine has.
inline std::vector<nash_swarm::InstructionSet> supported_instruction_sets() {
  std::vector<nash_swarm::InstructionSet> sets;
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) sets.push_back(entry.set);
  }
  return sets;
}

inline std::string name_of(nash_swarm::InstructionSet set) {
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (entry.set == set) return std::string(entry.name);
  }
  return "an instruction set without a name";
}

}  // namespace support
