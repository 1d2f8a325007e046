#include "allocation/methods.hpp"

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/baselines.hpp>
#include <nash_swarm/game/relaxation.hpp>

namespace allocation {

using nash_swarm::Allocation;
using nash_swarm::Game;

std::vector<std::string> method_names() {
  std::vector<std::string> names{"nash_swarm"};
  for (const nash_swarm::Method& known : nash_swarm::methods) names.emplace_back(known.name);
  return names;
}

Allocation run_method(const std::string& name, const Game& game, std::uint64_t budget,
                      std::uint64_t seed, std::size_t threads) {
  if (name == "nash_swarm") {
    nash_swarm::ThreadPool pool(threads);
    return nash_swarm::allocate(game, budget, pool, seed);
  }
  Allocation allocation;
  for (const nash_swarm::Method& method : nash_swarm::methods) {
    if (method.name == name) allocation = method.allocate(game, budget, seed);
  }
  // Whatever the method, the plan is measured against the best bound.
  const nash_swarm::Relaxation relaxation = nash_swarm::relax(game, budget);
  allocation.price = relaxation.price;
  allocation.y = relaxation.y;
  return allocation;
}

nash_swarm::Certificate certify(const Game& game, const Allocation& allocation,
                                std::uint64_t budget) {
  return nash_swarm::certify(game, allocation.strategy, budget, allocation.price, allocation.y);
}

}  // namespace allocation
