#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// A strategy on the lower convex hull of its player: the best response at some price of a byte.
struct HullVertex {
  std::uint64_t bytes = 0;
  double loss = 0;
  double slope = 0;  ///< fall of the loss per byte on the step from the vertex before; first: +inf
  std::uint32_t strategy = 0;  ///< index within the player
};

inline namespace NASH_SWARM_TARGET {

/// Writes the lower convex hull of one player's points (bytes, loss) to `vertices`: bytes strictly
/// ascending, losses and slopes strictly descending, from the fewest bytes to the lowest loss.
/// Of equal points the first strategy stays, and points inside an edge are left out.
/// Monotone chain (Andrew 1979): linear where the strategies come in ascending bytes.
/// The vector is reused, so that a pass over many players allocates only once.
inline void lower_hull(std::span<const std::uint64_t> bytes, std::span<const double> loss,
                       std::vector<HullVertex>& vertices) {
  vertices.clear();
  for (std::size_t strategy = 0; strategy < bytes.size(); ++strategy) {
    vertices.push_back({bytes[strategy], loss[strategy], std::numeric_limits<double>::infinity(),
                        static_cast<std::uint32_t>(strategy)});
  }
  const auto before = [](const HullVertex& a, const HullVertex& b) {
    return std::tie(a.bytes, a.loss, a.strategy) < std::tie(b.bytes, b.loss, b.strategy);
  };
  if (!std::is_sorted(vertices.begin(), vertices.end(), before)) {
    std::sort(vertices.begin(), vertices.end(), before);
  }
  std::size_t kept = 0;
  for (HullVertex vertex : vertices) {
    if (kept > 0 && vertex.loss >= vertices[kept - 1].loss) continue;
    // Rounded slopes are compared, not exact ones: whoever walks the steps of all players in the
    // order of these slopes must never meet a player's steps in the wrong order.
    while (kept > 0) {
      const HullVertex& last = vertices[kept - 1];
      vertex.slope = (last.loss - vertex.loss) / static_cast<double>(vertex.bytes - last.bytes);
      if (vertex.slope < last.slope) break;
      --kept;
    }
    vertices[kept++] = vertex;
  }
  vertices.resize(kept);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
