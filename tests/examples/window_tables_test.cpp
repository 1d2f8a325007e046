#include "window_tables/optimise.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include <nash_swarm/format/window_tables.hpp>

namespace {

/// Whether the program makes the table of the library.
template <unsigned WindowBits>
bool makes(const window_tables::Shape& shape, const nash_swarm::WindowValues<WindowBits>& table) {
  const std::vector<int> made = window_tables::optimised(shape).entries.front();
  return std::equal(made.begin(), made.end(), table.values.begin(), table.values.end());
}

}  // namespace

TEST_CASE("window tables: the program makes the 1-bit table of the library") {
  CHECK(makes({1, 4}, nash_swarm::window_tables::b1_l4));
}

TEST_CASE("window tables: the program makes the 2-bit table of the library") {
  CHECK(makes({2, 4}, nash_swarm::window_tables::b2_l4));
}

TEST_CASE("window tables: the program makes the 3-bit table of the library") {
  CHECK(makes({3, 4}, nash_swarm::window_tables::b3_l4));
}
