#include <doctest/doctest.h>

#include <limits>
#include <nash_swarm/game/players.hpp>
#include <string>

#include "io/support.hpp"
#include "random_tables.hpp"

using nash_swarm::check;
using nash_swarm::Error;
using nash_swarm::test::contains;

namespace {

std::string refusal(const nash_swarm::Players& players) {
  try {
    check(players);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

Tables three_players() {
  return {{{1, 4.0}, {2, 2.0}}, {{3, 1.0}}, {{4, 8.0}, {6, 1.0}, {5, 2.0}}};
}

}  // namespace

TEST_CASE("good tables pass and know their sizes") {
  const Tables tables = three_players();
  CHECK(refusal(tables.view()).empty());
  CHECK(tables.view().size() == 3);
  CHECK(tables.view().bytes_of(2).size() == 3);
  CHECK(tables.view().loss_of(2)[1] == 1.0);
  CHECK(nash_swarm::smallest_bytes(tables.view()) == 8);
  CHECK(nash_swarm::largest_bytes(tables.view()) == 11);
}

TEST_CASE("a game without players is a game") {
  const Tables tables;
  CHECK(refusal(tables.view()).empty());
  CHECK(nash_swarm::smallest_bytes(tables.view()) == 0);
}

TEST_CASE("a bad loss is named by player and strategy") {
  for (const double bad :
       {-1.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    Tables tables = three_players();
    tables.loss[4] = bad;
    const std::string message = refusal(tables.view());
    CAPTURE(message);
    CHECK(contains(message, "player 2"));
    CHECK(contains(message, "strategy 1"));
    CHECK(contains(message, std::to_string(bad)));
  }
}

TEST_CASE("a player without strategies is named") {
  Tables tables = three_players();
  tables.add({});
  CHECK(contains(refusal(tables.view()), "player 3: it has no strategy"));
}

TEST_CASE("runs that do not fit the tables are refused") {
  Tables tables = three_players();
  tables.first = {0, 2, 1, 6};
  CHECK(contains(refusal(tables.view()), "player 1: its strategies end at 1, before they begin"));
  tables.first = {0, 2, 3, 7};
  CHECK(contains(refusal(tables.view()), "is 7, but there are 6 bytes and 6 losses"));
  tables.first = {0, 2, 3, 5};
  CHECK(contains(refusal(tables.view()), "is 5"));
  tables.first = {1, 2, 3, 6};
  CHECK(contains(refusal(tables.view()), "does not start with 0"));
  tables.first.clear();
  CHECK(contains(refusal(tables.view()), "does not start with 0"));
  tables = three_players();
  tables.loss.pop_back();
  CHECK(contains(refusal(tables.view()), "6 bytes and 5 losses"));
}

TEST_CASE("totals that overflow are refused at the player where they do") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  Tables tables{{{0, 1.0}, {most - 10, 0.0}}, {{3, 1.0}, {10, 0.0}}};
  CHECK(refusal(tables.view()).empty());
  CHECK(nash_swarm::largest_bytes(tables.view()) == most);
  tables.bytes[3] = 11;
  CHECK(contains(refusal(tables.view()), "player 1: the total of bytes overflows at strategy 1"));

  const Tables losses{{{0, 1e308}}, {{0, 1.0}, {0, 1e308}}};
  CHECK(contains(refusal(losses.view()), "player 1: the total of losses overflows at strategy 1"));
}
