#include <nash_swarm/core/instruction_set.hpp>

#include <doctest/doctest.h>

#include <string>

#include "support/instruction_sets.hpp"

TEST_CASE("instruction set: those of this machine are found by their names") {
  std::string found;
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (!nash_swarm::is_supported(entry.set)) continue;
    const auto named = nash_swarm::instruction_set_named(entry.name);
    REQUIRE(named);
    CHECK(*named == entry.set);
    found += " " + std::string(entry.name);
  }
  CHECK(found.starts_with(" portable"));
  // In the log, since tests leave out the others without a word.
  MESSAGE("instruction sets of this machine:", found);
  CHECK(nash_swarm::is_supported(nash_swarm::default_instruction_set()));
}

TEST_CASE("instruction set: a machine that has a set has those that serve it") {
  for (const auto& entry : nash_swarm::instruction_sets) {
    for (const auto& serving : {nash_swarm::base_set, nash_swarm::float_set}) {
      const nash_swarm::InstructionSet own = serving(entry.set);
      CHECK(own <= entry.set);
      CHECK(serving(own) == own);
      if (nash_swarm::is_supported(entry.set)) CHECK(nash_swarm::is_supported(own));
    }
  }
}

TEST_CASE("instruction set: unknown names and sets that the machine lacks are refused") {
  const auto unknown = nash_swarm::instruction_set_named("avx513");
  REQUIRE(!unknown);
  CHECK(std::string(unknown.error().what())
            .starts_with("instruction set: this machine has no \"avx513\"; use portable"));
  for (const auto& entry : nash_swarm::instruction_sets) {
    if (nash_swarm::is_supported(entry.set)) continue;
    CHECK(!nash_swarm::instruction_set_named(entry.name));
  }
}
