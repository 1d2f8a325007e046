#include "window_tables/optimise.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>

#include <nash_swarm/format/window_tables.hpp>

namespace {

/// Whether the program makes the table of the library.
template <unsigned WindowBits>
bool makes(const window_tables::Shape& shape, const nash_swarm::WindowValues<WindowBits>& table) {
  const window_tables::Table made = window_tables::optimised(shape);
  return made.values.size() == table.values.size() &&
         std::equal(made.values.begin(), made.values.end(), table.values.begin());
}

}  // namespace

TEST_CASE("window tables: the program makes the tables of the library") {
  CHECK(makes({1, 4}, nash_swarm::window_tables::b1_l4));
  CHECK(makes({2, 4}, nash_swarm::window_tables::b2_l4));
  CHECK(makes({3, 4}, nash_swarm::window_tables::b3_l4));
}
