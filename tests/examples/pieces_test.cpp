#include "transformer/pieces.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nash_swarm/format/formats.hpp>

#include "examples/tiny_model.hpp"
#include "io/support.hpp"
#include "transformer/quantizer.hpp"

namespace {

using nash_swarm::Budget;
using nash_swarm::Plan;
using nash_swarm::test::contains;
using nash_swarm::test::ignore;
using nash_swarm::test::message_of;
using nash_swarm::test::read_text;
using transformer::Pieces;
using transformer::Quantizer;

/// A plan of 3 bits for the block matrices of the tiny model, and the file that it makes.
struct Quantized {
  Plan plan;
  std::uint64_t planned_bytes = 0;
  std::string file;
};

Quantized quantized(const Pieces& pieces) {
  static const transformer::Checkpoint checkpoint(nash_swarm::test::tiny_model());
  const nash_swarm::test::TemporaryFolder folder;
  nash_swarm::ThreadPool pool(2);
  Quantizer quantizer(checkpoint, transformer::Scope::blocks, 1, pool, {}, pieces);
  std::vector<std::int32_t> tokens;
  for (std::int32_t t = 0; t < 64; ++t) tokens.push_back(37 * t % 1024);
  quantizer.calibrate(tokens, ignore);
  Plan plan = quantizer.plan(Budget::bits(3.0));
  quantizer.write(plan, folder / "model", ignore);
  return {plan, quantizer.sizes(plan).matrix_bytes, read_text(folder / "model")};
}

const Quantized& whole() {
  static const Quantized made = quantized({});
  return made;
}

std::size_t formats_used(const nash_swarm::CellMap& cells) {
  std::vector<bool> used(nash_swarm::format_count);
  std::size_t count = 0;
  for (std::size_t p = 0; p < cells.panels(); ++p) {
    for (const nash_swarm::FormatId id : cells.panel(p)) {
      const std::size_t format = nash_swarm::format_index(id);
      if (!used[format]) ++count;
      used[format] = true;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("pieces: names, and what is refused") {
  const Pieces pieces = transformer::pieces_without({"cells", "rotation"});
  CHECK_FALSE(pieces.cells);
  CHECK_FALSE(pieces.rotation);
  CHECK(pieces.feedback);
  CHECK(transformer::pieces_without({}).cells);
  const std::string message = message_of([] { transformer::pieces_without({"luck"}); });
  CHECK(contains(message, "luck"));
  CHECK(contains(message, "feedback, gradients"));
}

TEST_CASE("pieces: without any of them plan or file are others, within the same budget") {
  CHECK(quantized({}).file == whole().file);
  for (const transformer::PieceName& piece : transformer::piece_names) {
    CAPTURE(piece.name);
    if (piece.piece == &Pieces::finish) continue;  // the choice of whoever writes: see finish_test
    if (piece.piece == &Pieces::order) continue;   // one window is no reason for an order
    const Quantized other = quantized(transformer::pieces_without({piece.name}));
    CHECK(other.file != whole().file);
    CHECK(other.plan.certificate().bytes == other.planned_bytes);
    CHECK(other.planned_bytes <= other.plan.certificate().budget);
    CHECK(other.plan.certificate().epsilon == 0.0);
  }
}

TEST_CASE("pieces: a format for a matrix, scalar codes, no rotation") {
  const Quantized matrices = quantized(transformer::pieces_without({"cells"}));
  CHECK(matrices.plan.certificate().players == matrices.plan.matrices().size());
  std::size_t mixed = 0;
  for (const auto& matrix : matrices.plan.matrices()) CHECK(formats_used(matrix.cells) == 1);
  for (const auto& matrix : whole().plan.matrices()) mixed += formats_used(matrix.cells) > 1;
  CHECK(mixed > 0);

  const Quantized scalar = quantized(transformer::pieces_without({"windows"}));
  for (const auto& matrix : scalar.plan.matrices()) {
    for (std::size_t p = 0; p < matrix.cells.panels(); ++p) {
      for (const nash_swarm::FormatId id : matrix.cells.panel(p)) {
        CHECK(nash_swarm::format_table[nash_swarm::format_index(id)].family ==
              nash_swarm::WindowFamily::none);
      }
    }
  }

  const Quantized plain = quantized(transformer::pieces_without({"rotation"}));
  for (const auto& matrix : plain.plan.matrices()) CHECK(matrix.basis->rotation_block() == 0);
  for (const auto& matrix : whole().plan.matrices()) CHECK(matrix.basis->rotation_block() != 0);
}
