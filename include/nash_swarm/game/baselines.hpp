#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/baselines/annealing.hpp>
#include <nash_swarm/game/baselines/best_response.hpp>
#include <nash_swarm/game/baselines/dynamic_programming.hpp>
#include <nash_swarm/game/baselines/exhaustive.hpp>
#include <nash_swarm/game/baselines/greedy.hpp>
#include <nash_swarm/game/baselines/lagrangian.hpp>
#include <nash_swarm/game/baselines/particle_swarm.hpp>
#include <nash_swarm/game/baselines/uniform.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/price.hpp>

namespace nash_swarm {

/// A way to plan a game that others use, to measure `allocate` against. All respect the budget,
/// edges included, give the same plan for the same seed, and throw an Error for a bad game, a time
/// limit, a budget below the cheapest plan, and a game that is too large for them.
struct Method {
  std::string_view name;
  Allocation (*allocate)(const Game& game, std::uint64_t budget, std::uint64_t seed);
};

inline namespace NASH_SWARM_TARGET {

inline constexpr std::array methods = {
    Method{"uniform", uniform_allocation},
    Method{"greedy", greedy_allocation},
    Method{"lagrangian", lagrangian_allocation},
    Method{"dynamic_programming", dynamic_programming_allocation},
    Method{"exhaustive", exhaustive_allocation},
    Method{"annealing", annealing_allocation},
    Method{"pso", particle_swarm_allocation},
    Method{"best_response", best_response_allocation},
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
