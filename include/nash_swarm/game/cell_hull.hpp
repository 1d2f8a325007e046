#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <tuple>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/game/chain.hpp>
#include <nash_swarm/game/game.hpp>
#include <nash_swarm/game/lower_hull.hpp>
#include <nash_swarm/game/potential.hpp>

/// What a matrix can do as one player: the lower hull over the plans of its cells.
namespace nash_swarm {

/// A plan of the cells of one matrix: the best at its price.
struct CellHullPoint {
  std::uint64_t bytes = 0;
  double loss = 0;
  double price = 0;  ///< +inf: the fewest bytes
};

/// A corner of a polygon that lies below all plans of the cells.
struct CellHullCorner {
  double bytes = 0;
  double loss = 0;
};

/// Points that plans of the cells reach, and corners that none goes below; bytes ascend in both.
struct CellHull {
  std::vector<CellHullPoint> points;
  std::vector<CellHullCorner> corners;
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// The best plan of the cells at a price; +inf asks for the fewest bytes.
inline std::vector<std::uint32_t> cells_at_price(const Game& cells, double price) {
  return std::isinf(price) ? solve_chains(cells, FewestBytes{}).strategy
                           : solve_chains(cells, CostAtPrice{price}).strategy;
}

/// The least and the largest slope above 0 of all hulls of single cells; {0, 0} if there is none.
inline std::pair<double, double> slope_range(const Game& cells) {
  double least = std::numeric_limits<double>::infinity();
  double largest = 0;
  for_each_hull(cells.players, [&](std::size_t, const std::vector<HullVertex>& hull) {
    for (std::size_t v = 1; v < hull.size(); ++v) {
      if (!(hull[v].slope > 0)) continue;
      least = std::min(least, hull[v].slope);
      largest = std::max(largest, hull[v].slope);
    }
  });
  return largest > 0 ? std::pair(least, largest) : std::pair(0.0, 0.0);
}

/// Corners of the region above all supporting lines loss + price · bytes >= value, lowered by more
/// than their rounding.
inline std::vector<CellHullCorner> corners_below(std::span<const CellHullPoint> points) {
  // Far more than the sums of a million cells can be off.
  constexpr double outward = 1e-9;
  const CellHullPoint& fewest = points.front();
  std::vector<CellHullCorner> corners;
  double bytes = static_cast<double>(fewest.bytes);
  for (std::size_t k = 0; k < points.size(); ++k) {
    const CellHullPoint& point = points[k];
    if (std::isinf(point.price)) continue;
    const double value = std::fma(point.price, static_cast<double>(point.bytes), point.loss);
    // Where this line takes over from the one before; rounding must not make the polygon rise.
    const double highest =
        corners.empty() ? std::numeric_limits<double>::infinity() : corners.back().loss;
    corners.push_back({bytes, std::clamp(std::fma(-point.price, bytes, value), 0.0, highest)});
    if (k + 1 < points.size()) {
      const CellHullPoint& next = points[k + 1];
      const double next_value = std::fma(next.price, static_cast<double>(next.bytes), next.loss);
      const double crossing = (value - next_value) / (point.price - next.price);
      bytes = std::max(bytes, std::min(crossing, static_cast<double>(next.bytes)));
    }
  }
  if (corners.empty()) corners.push_back({bytes, fewest.loss});
  for (CellHullCorner& corner : corners) {
    corner.bytes *= 1 - outward;
    corner.loss *= 1 - outward;
  }
  return corners;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// The hull of the plans of one matrix's cells, a game of chains: best plans at `prices` prices in
/// equal ratios over the range of the cells' slopes, at infinity and at 0.
/// @throws Error for a bad game, or one whose edges are no chains
/// O(prices · strategies)
inline CellHull cell_hull(const Game& cells, std::size_t prices = 48) {
  check(cells);
  if (!is_chain(cells)) {
    throw Error("cells", "their edges do not join consecutive players in ascending order");
  }
  std::vector<double> grid{std::numeric_limits<double>::infinity()};
  const auto [least, largest] = detail::slope_range(cells);
  for (std::size_t k = 0; k < prices && largest > 0; ++k) {
    // A little beyond both ends, so that edges of chains lie within.
    const double part =
        static_cast<double>(k) / static_cast<double>(std::max<std::size_t>(1, prices - 1));
    grid.push_back(2 * largest * std::pow(least / (4 * largest), part));
  }
  grid.push_back(0);
  CellHull hull;
  std::vector<CellHullPoint> tangents;
  for (const double price : grid) {
    const Totals sum = totals(cells, detail::cells_at_price(cells, price));
    const CellHullPoint point{sum.bytes, sum.loss, price};
    tangents.push_back(point);
    // Of equal points the first stays; a plan that is not better than the last one helps nobody.
    if (hull.points.empty() || point.loss < hull.points.back().loss) hull.points.push_back(point);
  }
  hull.corners = detail::corners_below(tangents);
  return hull;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
