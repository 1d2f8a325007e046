#include <nash_swarm/model/rules.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "io/support.hpp"

using nash_swarm::allowed_formats;
using nash_swarm::Rules;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using Places = std::vector<std::uint32_t>;

namespace {

const std::vector<std::string> names = {"h.0.attn", "h.0.mlp", "h.10.mlp", "wte"};

std::string problem(const Rules& rules) {
  return message_of([&] { allowed_formats(rules, names); });
}

}  // namespace

TEST_CASE("rules: without any all formats but those of the other windows are left") {
  for (const Places& places : allowed_formats({}, names)) {
    CHECK(places == Places{0, 2, 4, 5, 10, 12, 13, 18, 20, 21, 25, 26, 27, 28, 29});
  }
}

TEST_CASE("rules: one family of window codes, another where it is fixed") {
  Rules rules;
  rules.windows = {nash_swarm::WindowFamily::hash16};
  rules.fixed = {{"wte", "b3_hash32"}};
  const auto allowed = allowed_formats(rules, names);
  CHECK(allowed[0] == Places{0, 1, 3, 5, 9, 11, 13, 17, 19, 21, 24, 26, 27, 28, 29});
  CHECK(allowed[3] == Places{18});
}

TEST_CASE("rules: fixed and forbidden formats where the pattern is found in the name") {
  Rules rules;
  rules.fixed = {{"^wte$", "linear8"}, {"h\\.1", "b2_l2"}};
  rules.forbidden = {{"mlp", "raw16"}, {".", "pruned"}};
  const auto allowed = allowed_formats(rules, names);
  CHECK(allowed[0] == Places{2, 4, 5, 10, 12, 13, 18, 20, 21, 25, 26, 27, 28, 29});
  CHECK(allowed[1] == Places{2, 4, 5, 10, 12, 13, 18, 20, 21, 25, 26, 27, 28});
  CHECK(allowed[2] == Places{5});
  CHECK(allowed[3] == Places{28});
}

TEST_CASE("rules: bits per weight") {
  Rules rules;
  rules.min_bits = 2.5;
  rules.max_bits = 5.0;
  CHECK(allowed_formats(rules, names)[0] == Places{12, 13, 18, 20, 21, 25, 26});
  rules.min_bits.reset();
  CHECK(allowed_formats(rules, names)[3] == Places{0, 2, 4, 5, 10, 12, 13, 18, 20, 21, 25, 26});
}

TEST_CASE("rules: what cannot be kept is named") {
  Rules unknown;
  unknown.fixed = {{"wte", "b9"}};
  CHECK(problem(unknown).starts_with("rule wte=b9: unknown format"));
  CHECK(contains(problem(unknown), "pruned, b1_hash16"));
  Rules nobody;
  nobody.forbidden = {{"^mlp", "b2_l2"}};
  CHECK(contains(problem(nobody), "no matrix has a name in which \"^mlp\" is found"));
  Rules broken;
  broken.fixed = {{"(wte", "b2_l2"}};
  CHECK(contains(problem(broken), "no regular expression"));
  Rules both;
  both.fixed = {{"wte", "b2_l2"}, {"t", "b3_l3"}};
  CHECK(problem(both).starts_with("wte: the rules leave no format"));
  Rules narrow;
  narrow.min_bits = 9;
  narrow.max_bits = 12;
  CHECK(problem(narrow).starts_with("h.0.attn: the rules leave no format"));
  Rules reversed;
  reversed.min_bits = 4;
  reversed.max_bits = 3;
  CHECK(problem(reversed).starts_with("rules: "));
  Rules nan;
  nan.max_bits = std::numeric_limits<double>::quiet_NaN();
  CHECK(problem(nan).starts_with("rules: "));
}
