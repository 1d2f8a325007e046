#include <nash_swarm/format/cell_map.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "support/lcg.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::CellMap;
using nash_swarm::FormatId;
using Table = std::vector<std::uint8_t>;

namespace {

constexpr FormatId pruned{0};
constexpr FormatId two{2};
constexpr FormatId eight{8};

CellMap decode(const Table& table, std::size_t panels, std::size_t blocks) {
  return nash_swarm::decode_runs("h.0.mlp", table, panels, blocks);
}

/// The problem that a damaged table is refused with.
std::string problem_of(const Table& table, std::size_t panels, std::size_t blocks) {
  try {
    decode(table, panels, blocks);
  } catch (const nash_swarm::Error& error) {
    CHECK(error.subject() == "h.0.mlp");
    return error.problem();
  }
  return "accepted";
}

CellMap random_map(std::size_t panels, std::size_t blocks, std::uint32_t change_in,
                   support::Lcg& random) {
  CellMap cells(panels, blocks, pruned);
  FormatId format{4};
  for (std::size_t p = 0; p < panels; ++p) {
    for (std::size_t b = 0; b < blocks; ++b) {
      if (random.below(change_in) == 0) {
        format = FormatId{support::known_formats[random.below(8)].id};
      }
      cells(p, b) = format;
    }
  }
  return cells;
}

}  // namespace

TEST_CASE("cell_map: one format everywhere takes two bytes") {
  for (const std::size_t panels : {1u, 2u, 3142u}) {
    for (const std::size_t blocks : {1u, 12u, 256u}) {
      const CellMap cells(panels, blocks, two);
      CHECK(encode_runs(cells) == Table{2, static_cast<std::uint8_t>(blocks - 1)});
      CHECK(decode(encode_runs(cells), panels, blocks) == cells);
    }
  }
}

TEST_CASE("cell_map: the run table is format and length less one") {
  CellMap cells(2, 5, two);
  cells(0, 3) = eight;
  cells(0, 4) = eight;
  cells(1, 0) = pruned;
  CHECK(encode_runs(cells) == Table{2, 2, 8, 1, 0, 0, 2, 3});
  CHECK(decode({2, 2, 8, 1, 0, 0, 2, 3}, 2, 5) == cells);
}

TEST_CASE("cell_map: panels that are all alike are stored once") {
  CellMap cells(3, 4, two);
  for (std::size_t p = 0; p < 3; ++p) cells(p, 2) = eight;
  CHECK(encode_runs(cells) == Table{2, 1, 8, 0, 2, 0});
  CHECK(decode({2, 1, 8, 0, 2, 0}, 3, 4) == cells);
  cells(2, 3) = eight;  // only the last block of the last panel differs
  CHECK(encode_runs(cells).size() == 3 * 6 - 2);
  CHECK(decode(encode_runs(cells), 3, 4) == cells);
}

TEST_CASE("cell_map: runs of more than 256 blocks are split") {
  const CellMap cells(2, 300, two);
  CHECK(encode_runs(cells) == Table{2, 255, 2, 43});
  CHECK(decode({2, 255, 2, 43}, 2, 300) == cells);
  CellMap exact(1, 513, eight);
  exact(0, 512) = two;
  CHECK(encode_runs(exact) == Table{8, 255, 8, 255, 2, 0});
  CHECK(decode(encode_runs(exact), 1, 513) == exact);
}

TEST_CASE("cell_map: random maps come back") {
  support::Lcg random(9);
  for (int round = 0; round < 300; ++round) {
    const std::size_t panels = 1 + random.below(6);
    const std::size_t blocks = 1 + random.below(round % 10 == 0 ? 700 : 20);
    const CellMap cells =
        random_map(panels, blocks, 1 + random.below(round % 3 == 0 ? 400 : 6), random);
    CHECK(decode(encode_runs(cells), panels, blocks) == cells);
  }
}

TEST_CASE("cell_map: a matrix without panels has an empty table") {
  CHECK(encode_runs(CellMap(0, 3, two)).empty());
  CHECK(decode({}, 0, 3) == CellMap(0, 3, two));
  CHECK(problem_of({2, 2}, 0, 3) == "run table, byte 0: bytes are left over");
}

TEST_CASE("cell_map: code bytes are those of the blocks") {
  CellMap cells(2, 3, pruned);
  CHECK(code_bytes(cells) == 0);
  cells(0, 1) = two;
  cells(1, 1) = eight;
  cells(1, 2) = FormatId{16};
  CHECK(panel_code_bytes(cells.panel(0)) == 256);
  CHECK(panel_code_bytes(cells.panel(1)) == 1024 + 2048);
  CHECK(code_bytes(cells) == 256 + 1024 + 2048);
}

TEST_CASE("cell_map: a table cut at any byte is refused") {
  CellMap cells(3, 6, two);
  cells(0, 2) = eight;
  cells(1, 4) = eight;
  cells(2, 0) = pruned;
  const Table table = encode_runs(cells);
  REQUIRE(table.size() == 16);
  // The runs of the first panel alone are the table of panels that are all alike.
  constexpr std::size_t first_panel = 6;
  for (std::size_t size = 0; size < table.size(); ++size) {
    if (size == first_panel) continue;
    CAPTURE(size);
    const Table cut(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string problem = problem_of(cut, 3, 6);
    CHECK(problem.find("the table ends") != std::string::npos);
  }
}

TEST_CASE("cell_map: a damaged table is refused with its place") {
  CHECK(problem_of({}, 2, 4) == "run table, byte 0: the table ends too early");
  CHECK(problem_of({2, 1}, 2, 4) == "run table, byte 2: the table ends too early");
  CHECK(problem_of({2, 3, 2}, 2, 4) == "run table, byte 2: the table ends too early");
  CHECK(problem_of({2, 1, 7, 1}, 2, 4) == "run table, byte 2: unknown format 7");
  CHECK(problem_of({255, 3}, 2, 4) == "run table, byte 0: unknown format 255");
  CHECK(problem_of({2, 4}, 2, 4) == "run table, byte 1: a run goes beyond the panel");
  CHECK(problem_of({2, 2, 8, 1}, 2, 4) == "run table, byte 3: a run goes beyond the panel");
  CHECK(problem_of({2, 3, 8, 3, 4, 3}, 2, 4) == "run table, byte 4: bytes are left over");
  CHECK(problem_of({2, 3, 8, 3, 4}, 2, 4) == "run table, byte 4: bytes are left over");
  CHECK(problem_of({2, 3, 8, 3}, 1, 4) == "run table, byte 2: bytes are left over");
  CHECK(problem_of({2, 3, 8, 3}, 3, 4) == "run table, byte 4: the table ends after 2 of 3 panels");
}

TEST_CASE("cell_map: whatever the bytes, a table is refused or covers the panels") {
  support::Lcg random(4);
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    Table table(random.below(10));
    for (std::size_t i = 0; i < table.size(); ++i) {
      table[i] = static_cast<std::uint8_t>(i % 2 == 0 ? support::known_formats[random.below(8)].id
                                                      : random.below(4));
    }
    try {
      const CellMap cells = decode(table, 2, 4);
      ++accepted;
      CHECK(decode(encode_runs(cells), 2, 4) == cells);
    } catch (const nash_swarm::Error&) {
    }
  }
  CHECK(accepted > 50);
}
