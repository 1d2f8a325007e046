#include <nash_swarm/model/rules.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "io/support.hpp"

using nash_swarm::allowed_formats;
using nash_swarm::Rules;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using Names = std::vector<std::string_view>;

namespace {

const std::vector<std::string> names = {"h.0.attn", "h.0.mlp", "h.10.mlp", "wte"};

std::string problem(const Rules& rules) {
  return message_of([&] { allowed_formats(rules, names); });
}

/// For each matrix, the formats that the rules leave.
std::vector<Names> allowed_names(const Rules& rules) {
  std::vector<Names> allowed;
  for (const auto& places : allowed_formats(rules, names)) {
    Names& own = allowed.emplace_back();
    for (const std::uint32_t place : places) own.push_back(nash_swarm::format_table[place].name);
  }
  return allowed;
}

}  // namespace

TEST_CASE("rules: without any all formats but those of the other windows are left") {
  for (const Names& allowed : allowed_names({})) {
    CHECK(allowed == Names{"pruned", "b1_hash32", "b1.5_hash32", "b2_l2", "b2_hash32",
                           "b2.5_hash32", "b3_l3", "b3_hash32", "b3.5_hash32", "b4_l4", "b4_hash32",
                           "linear5", "linear6", "linear8", "raw16"});
  }
}

TEST_CASE("rules: one family of window codes, another where it is fixed") {
  Rules rules;
  rules.windows = {nash_swarm::WindowFamily::hash16};
  rules.fixed = {{"wte", "b3_hash32"}};
  const auto allowed = allowed_names(rules);
  CHECK(allowed[0] == Names{"pruned", "b1_hash16", "b1.5_hash16", "b2_l2", "b2_hash16",
                            "b2.5_hash16", "b3_l3", "b3_hash16", "b3.5_hash16", "b4_l4",
                            "b4_hash16", "linear5", "linear6", "linear8", "raw16"});
  CHECK(allowed[3] == Names{"b3_hash32"});
}

TEST_CASE("rules: fixed and forbidden formats where the pattern is found in the name") {
  Rules rules;
  rules.fixed = {{"^wte$", "linear8"}, {"h\\.1", "b2_l2"}};
  rules.forbidden = {{"mlp", "raw16"}, {".", "pruned"}};
  const auto allowed = allowed_names(rules);
  CHECK(allowed[0] == Names{"b1_hash32", "b1.5_hash32", "b2_l2", "b2_hash32", "b2.5_hash32",
                            "b3_l3", "b3_hash32", "b3.5_hash32", "b4_l4", "b4_hash32", "linear5",
                            "linear6", "linear8", "raw16"});
  CHECK(allowed[1] == Names{"b1_hash32", "b1.5_hash32", "b2_l2", "b2_hash32", "b2.5_hash32",
                            "b3_l3", "b3_hash32", "b3.5_hash32", "b4_l4", "b4_hash32", "linear5",
                            "linear6", "linear8"});
  CHECK(allowed[2] == Names{"b2_l2"});
  CHECK(allowed[3] == Names{"linear8"});
}

TEST_CASE("rules: bits per weight") {
  Rules rules;
  rules.min_bits = 2.5;
  rules.max_bits = 5.0;
  CHECK(allowed_names(rules)[0] ==
        Names{"b2.5_hash32", "b3_l3", "b3_hash32", "b3.5_hash32", "b4_l4", "b4_hash32", "linear5"});
  rules.min_bits.reset();
  CHECK(allowed_names(rules)[3] == Names{"pruned", "b1_hash32", "b1.5_hash32", "b2_l2", "b2_hash32",
                                         "b2.5_hash32", "b3_l3", "b3_hash32", "b3.5_hash32",
                                         "b4_l4", "b4_hash32", "linear5"});
}

TEST_CASE("rules: what cannot be kept is named") {
  Rules unknown;
  unknown.fixed = {{"wte", "b9"}};
  CHECK(problem(unknown).starts_with("rule wte=b9: unknown format"));
  CHECK(contains(problem(unknown), "pruned, b1_l4"));
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
