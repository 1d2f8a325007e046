#pragma once

#include <vector>

#include <nash_swarm/core/instruction_set.hpp>

namespace support {

/// Those that this machine has.
inline std::vector<nash_swarm::InstructionSet> supported_instruction_sets() {
  using nash_swarm::InstructionSet;
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512,
        InstructionSet::neon}) {
    if (nash_swarm::is_supported(set)) sets.push_back(set);
  }
  return sets;
}

}  // namespace support
