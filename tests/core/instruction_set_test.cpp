#include <nash_swarm/core/instruction_set.hpp>

#include <doctest/doctest.h>

#include <string>

#include "support/instruction_sets.hpp"

TEST_CASE("instruction set: those of this machine are found by their names") {
  int found = 0;
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (!nash_swarm::is_supported(entry.set)) continue;
    CHECK(nash_swarm::instruction_set_named(entry.name) == entry.set);
    ++found;
  }
  CHECK(found >= 1);
  CHECK(nash_swarm::is_supported(nash_swarm::default_instruction_set()));
}

TEST_CASE("instruction set: a machine that has a set has its base") {
  for (const auto& entry : nash_swarm::instruction_sets) {
    const nash_swarm::InstructionSet base = nash_swarm::base_set(entry.set);
    CHECK(base <= entry.set);
    CHECK(nash_swarm::base_set(base) == base);
    if (nash_swarm::is_supported(entry.set)) CHECK(nash_swarm::is_supported(base));
  }
}

TEST_CASE("instruction set: unknown names and sets that the machine lacks are refused") {
  CHECK_THROWS_WITH_AS(nash_swarm::instruction_set_named("avx513"),
                       doctest::Contains("this machine has no \"avx513\"; use portable"),
                       nash_swarm::Error);
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) continue;
    CHECK_THROWS_AS(nash_swarm::instruction_set_named(entry.name), nash_swarm::Error);
  }
}
