#include <nash_swarm/io/model_plan_file.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/support.hpp"
#include "support/lcg.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::CellMap;
using nash_swarm::FormatId;
using nash_swarm::MatrixPlan;
using nash_swarm::Plan;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;

namespace {

nash_swarm::Certificate certificate() {
  return {.players = 24,
          .epsilon = 0.0,
          .epsilon_at_price = 1.0 / 3.0,
          .bytes = 12345,
          .budget = ~std::uint64_t{0},
          .loss = 0.1,
          .lower_bound = 1e-300,
          .gap = 0.5,
          .price = 7e-9,
          .y = {0.1, -0.2}};
}

/// "q" of 3 panels with 5 blocks, its rows in an order, and "k\"" of one cell.
Plan plan() {
  CellMap cells(3, 5, FormatId{4});
  for (std::size_t p = 0; p < 2; ++p) cells(p, 3) = FormatId{2};
  cells(2, 0) = FormatId{0};
  return Plan({{"q", 33, 260, nullptr, cells, support::random_row_order(33, 2)},
               {"k\"", 16, 64, nullptr, CellMap(1, 1, FormatId{16})}},
              certificate());
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  REQUIRE(contains(text, part));
  return text.replace(text.find(part), part.size(), by);
}

}  // namespace

TEST_CASE("model plan: the text is for people, and what is read is what was written") {
  const std::string text = model_plan_text(plan());
  CHECK(contains(text, R"("q": {"shape": [33, 260], "cells": [
   [2, "b4_l4*3 b2_l2 b4_l4"],
   [1, "pruned b4_l4*4"]],
   "row_panels": [)"));
  CHECK(contains(text, R"([1, "raw16"]]}})"));
  const auto stored = nash_swarm::read_model_plan("p.json", text, plan().matrices());
  CHECK(stored.certificate == certificate());
  REQUIRE(stored.cells.size() == 2);
  CHECK(stored.cells[0] == plan().matrices()[0].cells);
  CHECK(stored.cells[1] == plan().matrices()[1].cells);
  REQUIRE(stored.orders.size() == 2);
  CHECK(stored.orders[0] == plan().matrices()[0].order);
  CHECK(stored.orders[1].natural());
}

TEST_CASE("model plan: random cells come back") {
  support::Lcg random(3);
  for (int round = 0; round < 100; ++round) {
    const std::size_t panels = 1 + random.below(6);
    const std::size_t blocks = 1 + random.below(9);
    CellMap cells(panels, blocks, FormatId{3});
    for (std::size_t p = 0; p < panels; ++p) {
      for (std::size_t b = 0; b < blocks; ++b) {
        if (random.below(3) == 0) cells(p, b) = support::random_format(random);
      }
    }
    const Plan written({{"w", 16 * panels, 64 * blocks, nullptr, cells}}, certificate());
    const auto stored =
        nash_swarm::read_model_plan("p", model_plan_text(written), written.matrices());
    CHECK(stored.cells[0] == cells);
  }
}

TEST_CASE("model plan: what does not fit the model or is no plan is named") {
  const std::string text = model_plan_text(plan());
  const auto message = [](const std::string& changed) {
    const std::string full =
        message_of([&] { nash_swarm::read_model_plan("p.json", changed, plan().matrices()); });
    CHECK(full.starts_with("p.json"));
    return full;
  };
  const auto with = [&](const std::string& part, const std::string& by) {
    return message(replaced(text, part, by));
  };
  CHECK(contains(message("{"), "not valid JSON"));
  CHECK(contains(message("[]"), "not a JSON object"));
  CHECK(contains(message("{}"), "certificate or matrices"));
  CHECK(contains(with("[33, 260]", "[33, 261]"), "'q': its shape is not the model's, [33,260]"));
  CHECK(contains(with("\"q\"", "\"v\""), "no matrix 'v'"));
  CHECK(contains(with("\"q\"", "\"k\\\"\""), "occurs twice"));
  CHECK(contains(with("[2, ", "[1, "), "2 of 3 panels"));
  CHECK(contains(with("[2, ", "[3, "), "more or for fewer panels"));
  CHECK(contains(with("[2, ", "[0, "), "more or for fewer panels"));
  CHECK(contains(with("[2, ", "[-2, "), "not [number of panels"));
  CHECK(contains(with("b2_l2", "b9"), "unknown format 'b9'"));
  CHECK(contains(with("b4_l4*4", "b4_l4*5"), "more or fewer than 5 blocks"));
  CHECK(contains(with("b4_l4*4", "b4_l4*3"), "more or fewer than 5 blocks"));
  CHECK(contains(with("b4_l4*4", "b4_l4*x"), "no number of blocks"));
  CHECK(contains(with("b4_l4*4", "b4_l4*0"), "no number of blocks"));
  CHECK(contains(with("\"row_panels\": [", "\"row_panels\": [0,"), "no list of 33 numbers"));
  CHECK(contains(with("\"row_panels\": [", "\"row_panels\": [],\"x\":["), "no list of 33 numbers"));
  CHECK(contains(with("\"row_panels\": [", "\"row_panels\": 3,\"x\":["), "no list of 33 numbers"));
  for (const char* wrong :
       {"\"row_panels\": [3", "\"row_panels\": [-", "\"row_panels\": [99999999999"}) {
    CHECK(contains(with("\"row_panels\": [", wrong), "'q': row order, row 0"));
  }
  CHECK(contains(with("\"price\"", "\"cost\""), "certificate"));
  CHECK(contains(with("\"price\":7e-09", "\"price\":1e400"), "a number in it is too large"));
  CHECK(contains(with("\"price\":7e-09", "\"price\":-1"), "price"));
  for (std::size_t size = 0; size + 1 < text.size(); ++size) message(text.substr(0, size));
}
