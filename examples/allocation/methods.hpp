#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>

namespace allocation {

/// Names of the ways to allocate: the library's own first, then its baselines.
std::vector<std::string> method_names();

/// Allocates as the method of that name does.
/// @param threads that the library's own method works with; 0 means one per core
/// @throws nash_swarm::Error if the budget is below the smallest possible
nash_swarm::Allocation run_method(const std::string& name, const nash_swarm::Game& game,
                                  std::uint64_t budget, std::uint64_t seed, std::size_t threads);

/// What proves the quality of an allocation; see nash_swarm::certify.
nash_swarm::Certificate certify(const nash_swarm::Game& game,
                                const nash_swarm::Allocation& allocation, std::uint64_t budget);

}  // namespace allocation
