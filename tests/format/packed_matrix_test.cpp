#include <nash_swarm/format/packed_matrix.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/support.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::BFloat16;
using nash_swarm::PackedMatrix;
using nash_swarm::test::contains;
using support::MatrixBytes;

namespace {

constexpr std::size_t rows = 33;

std::shared_ptr<const nash_swarm::InputBasis> basis() {
  return support::make_basis(130, 64, true);
}

/// Place of a block's format in the format table.
std::size_t format_at(std::size_t panel, std::size_t block) {
  constexpr unsigned formats[] = {0, 2, 3, 4, 5, 6, 8};
  return nash_swarm::format_index(static_cast<nash_swarm::FormatId>(formats[panel + 2 * block]));
}

MatrixBytes good_bytes() {
  return support::random_bytes(rows, *basis(), 1, format_at);
}

/// The problem that the parts are refused with.
std::string problem_of(MatrixBytes bytes, std::size_t out_features = rows) {
  try {
    support::packed(std::move(bytes), out_features, basis());
  } catch (const nash_swarm::Error& error) {
    CHECK(error.subject() == "matrix");
    return error.problem();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("packed_matrix: parts that fit are kept as they are") {
  const MatrixBytes bytes = good_bytes();
  const PackedMatrix matrix = support::packed(bytes, rows, basis());
  CHECK(matrix.name() == "matrix");
  CHECK(matrix.out_features() == 33);
  CHECK(matrix.in_features() == 130);
  CHECK(matrix.basis().padded_features() == 192);
  CHECK(matrix.cells().panels() == 3);
  CHECK(matrix.cells().blocks() == 3);
  CHECK(matrix.codes().size() == bytes.codes.size());
  CHECK(matrix.cells()(1, 2) == nash_swarm::FormatId{6});
}

TEST_CASE("packed_matrix: panels start where the codes of the last one end") {
  const PackedMatrix matrix = support::packed(good_bytes(), rows, basis());
  std::ptrdiff_t offset = 0;
  for (std::size_t panel = 0; panel < 3; ++panel) {
    CHECK(matrix.panel_codes(panel) - matrix.codes().data() == offset);
    for (std::size_t block = 0; block < 3; ++block) {
      const nash_swarm::Format& format = nash_swarm::format_table[format_at(panel, block)];
      offset += static_cast<std::ptrdiff_t>(format.block_bytes);
    }
  }
  CHECK(offset == static_cast<std::ptrdiff_t>(matrix.codes().size()));
}

TEST_CASE("packed_matrix: stored bytes are codes, scales and runs and are foretold exactly") {
  const PackedMatrix matrix = support::packed(good_bytes(), rows, basis());
  // Formats of the panels: 0 3 5, 2 4 6, 3 5 8.
  const std::size_t codes = (0 + 384 + 640) + (256 + 512 + 768) + (384 + 640 + 1024);
  CHECK(matrix.stored_bytes() == codes + 33 * 2 + 3 * (1 + 2 * 2));
  CHECK(nash_swarm::stored_bytes(rows, matrix.cells()) == matrix.stored_bytes());
}

TEST_CASE("packed_matrix: an order of the rows is stored, counted and checked") {
  const nash_swarm::RowOrder order = support::random_row_order(rows, 3);
  MatrixBytes bytes = good_bytes();
  const std::size_t natural = support::packed(bytes, rows, basis()).stored_bytes();
  bytes.row_order = nash_swarm::encode_row_order(order);
  const PackedMatrix matrix = support::packed(bytes, rows, basis());
  CHECK(matrix.row_order() == order);
  CHECK(matrix.stored_bytes() == natural + 9);  // 33 times 2 bits
  CHECK(nash_swarm::stored_bytes(rows, matrix.cells(), order) == matrix.stored_bytes());
  MatrixBytes fewer = bytes;
  fewer.row_order.pop_back();
  CHECK(problem_of(fewer) == "row order: 8 bytes for 33 rows");
  MatrixBytes beyond = bytes;
  beyond.row_order.front() |= 3;  // there are but 3 panels
  CHECK(problem_of(beyond) == "row order, row 0: panel 3 has no place for it");
}

TEST_CASE("packed_matrix: the storage lives as long as the matrix") {
  auto storage = std::make_shared<const MatrixBytes>(good_bytes());
  const std::weak_ptr<const MatrixBytes> watched = storage;
  PackedMatrix matrix({.name = "matrix",
                       .out_features = rows,
                       .basis = basis(),
                       .codes = storage->codes,
                       .row_scales = storage->row_scales,
                       .run_table = storage->run_table,
                       .storage = storage});
  storage.reset();
  PackedMatrix copy = matrix;
  matrix = PackedMatrix();
  CHECK_FALSE(watched.expired());
  copy = PackedMatrix();
  CHECK(watched.expired());
}

TEST_CASE("packed_matrix: no basis or no rows") {
  MatrixBytes bytes = good_bytes();
  CHECK_THROWS_WITH_AS(support::packed(bytes, rows, nullptr), "matrix: no input basis",
                       nash_swarm::Error);
  bytes.row_scales.clear();
  CHECK(problem_of(bytes, 0) == "0 output features");
}

TEST_CASE("packed_matrix: row scales that do not fit the rows") {
  MatrixBytes fewer = good_bytes();
  fewer.row_scales.pop_back();
  CHECK(problem_of(fewer) == "32 row scales for 33 rows");
  MatrixBytes more = good_bytes();
  more.row_scales.push_back(BFloat16{0x3f80});
  CHECK(problem_of(more) == "34 row scales for 33 rows");
  CHECK(contains(problem_of(good_bytes(), std::numeric_limits<std::size_t>::max()),
                 "33 row scales for"));
}

TEST_CASE("packed_matrix: row scales that are not finite") {
  for (const unsigned bits : {0x7f80u, 0xff80u, 0x7fc0u, 0x7f81u}) {
    MatrixBytes bytes = good_bytes();
    bytes.row_scales[17] = BFloat16{static_cast<std::uint16_t>(bits)};
    CHECK(problem_of(bytes) == "row scale 17 is not finite");
  }
  MatrixBytes zero = good_bytes();
  zero.row_scales[17] = BFloat16{0};
  CHECK(problem_of(zero) == "accepted");
}

TEST_CASE("packed_matrix: codes that are too few or too many") {
  const std::size_t size = good_bytes().codes.size();
  MatrixBytes fewer = good_bytes();
  fewer.codes.pop_back();
  CHECK(problem_of(fewer) == std::to_string(size - 1) + " bytes of codes where the formats need " +
                                 std::to_string(size));
  MatrixBytes more = good_bytes();
  more.codes.push_back(std::byte{0});
  CHECK(contains(problem_of(more), "bytes of codes where the formats need"));
  MatrixBytes none = good_bytes();
  none.codes.clear();
  CHECK(contains(problem_of(none), "0 bytes of codes"));
}

TEST_CASE("packed_matrix: a run table that does not fit") {
  MatrixBytes truncated = good_bytes();
  truncated.run_table.pop_back();
  CHECK(contains(problem_of(truncated), "run table, byte 14: the table ends too early"));
  MatrixBytes unknown = good_bytes();
  unknown.run_table[4] = 9;
  CHECK(contains(problem_of(unknown), "unknown format 9"));
  MatrixBytes other_format = good_bytes();
  other_format.run_table[2] = 2;  // was 3: the codes are 128 bytes too many
  CHECK(contains(problem_of(other_format), "bytes of codes where the formats need"));
  MatrixBytes other_shape = good_bytes();
  other_shape.row_scales.resize(48 + 1);
  CHECK(contains(problem_of(other_shape, 49), "byte 15: the table ends too early"));
}
