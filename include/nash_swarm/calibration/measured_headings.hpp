#pragma once

#include <cstddef>
#include <vector>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// How the damage of the matrices of a model adds up, as measured. Matrices that disturb nobody
/// have the coherent share 0: for the game there is no difference.
struct MeasuredHeadings {
  std::size_t dimension = 0;      ///< s; 0: no matrix disturbs another
  std::vector<double> direction;  ///< [matrices, s] unit vectors
  std::vector<double> coherent;   ///< [matrices] coherent share of the loss, 0 … 1
};

}  // namespace nash_swarm
