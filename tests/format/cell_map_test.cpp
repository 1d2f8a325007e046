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
  return nash_swarm::detail::value_or_raise(
      nash_swarm::decode_runs("h.0.mlp", table, panels, blocks));
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
      if (random.below(change_in) == 0) format = support::random_format(random);
      cells(p, b) = format;
    }
  }
  return cells;
}

}  // namespace

TEST_CASE("cell_map: one format everywhere takes one byte for a panel") {
  for (const std::size_t panels : {1u, 2u, 3142u}) {
    for (const std::size_t blocks : {1u, 12u, 256u, 300u}) {
      const CellMap cells(panels, blocks, two);
      CHECK(encode_runs(cells) == Table(panels, 0x82));
      CHECK(decode(encode_runs(cells), panels, blocks) == cells);
    }
  }
}

TEST_CASE("cell_map: the run table is formats and lengths less one, the last run marked") {
  CellMap cells(2, 5, two);
  cells(0, 3) = eight;
  cells(0, 4) = eight;
  cells(1, 0) = pruned;
  CHECK(encode_runs(cells) == Table{2, 2, 0x88, 0, 0, 0x82});
  CHECK(decode({2, 2, 0x88, 0, 0, 0x82}, 2, 5) == cells);
}

TEST_CASE("cell_map: lengths take two bytes beyond 256 blocks") {
  CellMap narrow(1, 256, eight);
  narrow(0, 255) = two;
  CHECK(encode_runs(narrow) == Table{8, 254, 0x82});
  CellMap wide(2, 513, eight);
  wide(0, 512) = two;
  wide(1, 0) = two;
  CHECK(encode_runs(wide) == Table{8, 255, 1, 0x82, 2, 0, 0, 0x88});
  CHECK(decode(encode_runs(wide), 2, 513) == wide);
  CHECK(nash_swarm::boundary_bytes(256) == 2);
  CHECK(nash_swarm::boundary_bytes(257) == 3);
}

TEST_CASE("cell_map: random maps come back") {
  support::Lcg random(9);
  for (int round = 0; round < 300; ++round) {
    const std::size_t panels = 1 + random.below(6);
    const std::size_t blocks = 1 + random.below(round % 10 == 0 ? 700 : 20);
    const CellMap cells =
        random_map(panels, blocks, 1 + random.below(round % 3 == 0 ? 400 : 6), random);
    const Table table = encode_runs(cells);
    CHECK(decode(table, panels, blocks) == cells);
    CHECK(run_table_bytes(cells) == table.size());
    std::size_t boundaries = 0;
    for (std::size_t p = 0; p < panels; ++p) {
      for (std::size_t b = 1; b < blocks; ++b) boundaries += cells(p, b) != cells(p, b - 1);
    }
    CHECK(table.size() == panels + boundaries * nash_swarm::boundary_bytes(blocks));
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
  REQUIRE(table.size() == 5 + 5 + 3);
  for (std::size_t size = 0; size < table.size(); ++size) {
    CAPTURE(size);
    const Table cut(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(size));
    const std::string problem = problem_of(cut, 3, 6);
    CHECK(problem.find("the table ends") != std::string::npos);
  }
}

TEST_CASE("cell_map: a damaged table is refused with its place") {
  CHECK(problem_of({}, 2, 4) == "run table, byte 0: the table ends too early");
  CHECK(problem_of({2, 1}, 2, 4) == "run table, byte 2: the table ends too early");
  CHECK(problem_of({0x82, 3}, 2, 4) == "run table, byte 2: the table ends too early");
  CHECK(problem_of({0x82}, 2, 4) == "run table, byte 1: the table ends too early");
  CHECK(problem_of({2, 1, 0x87}, 2, 4) == "run table, byte 2: unknown format 7");
  CHECK(problem_of({255, 3}, 2, 4) == "run table, byte 0: unknown format 127");
  const std::string beyond = ": an unmarked run does not end inside the panel";
  CHECK(problem_of({2, 3}, 2, 4) == "run table, byte 1" + beyond);
  CHECK(problem_of({2, 2, 8, 0}, 2, 4) == "run table, byte 3" + beyond);
  CHECK(problem_of({2, 255, 0, 0x82}, 1, 257) == "accepted");
  CHECK(problem_of({2, 0, 1, 0x82}, 1, 257) == "run table, byte 2" + beyond);
  CHECK(problem_of({2, 0, 1}, 1, 258) == "run table, byte 3: the table ends too early");
  CHECK(problem_of({0x82, 0x88, 0x84}, 2, 4) == "run table, byte 2: bytes are left over");
  CHECK(problem_of({0x82, 0x88}, 1, 4) == "run table, byte 1: bytes are left over");
}

TEST_CASE("cell_map: whatever the bytes, a table is refused or covers the panels") {
  support::Lcg random(4);
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    Table table(random.below(10));
    for (std::size_t i = 0; i < table.size(); ++i) {
      const unsigned mark = random.below(2) == 0 ? 0x80u : 0u;
      const unsigned byte = random.below(2) == 0
                                ? static_cast<unsigned>(support::random_format(random)) | mark
                                : random.below(4);
      table[i] = static_cast<std::uint8_t>(byte);
    }
    try {
      const CellMap cells = decode(table, 2, 4);
      ++accepted;
      CHECK(decode(encode_runs(cells), 2, 4) == cells);
    } catch (const nash_swarm::Error&) {
    }
  }
  CHECK(accepted > 20);
}
