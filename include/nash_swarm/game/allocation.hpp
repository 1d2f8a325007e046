#pragma once

#include <cstdint>
#include <vector>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// A strategy for every player and the price of a byte that led to it.
struct Allocation {
  std::vector<std::uint32_t> strategy;  ///< [players]: index within the player's strategies
  double price = 0;                     ///< loss per byte, 0 or more
  std::vector<double> y;                ///< [s] proves the lower bound together with the price
  double time_price = 0;                ///< loss per unit of time, 0 or more
};

}  // namespace nash_swarm
