#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <set>

#include "support/golden_product.hpp"
#include "support/instruction_sets.hpp"
#include "support/products.hpp"

using nash_swarm::Activations;
using nash_swarm::InstructionSet;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using support::Row;

TEST_CASE("same_bits: the golden matrices have cells of every format") {
  std::set<nash_swarm::FormatId> formats;
  support::for_each_golden_matrix([&](const PackedMatrix& matrix, const Row&) {
    for (std::size_t panel = 0; panel < matrix.cells().panels(); ++panel) {
      formats.insert(matrix.cells().panel(panel).begin(), matrix.cells().panel(panel).end());
    }
  });
  CHECK(formats.size() == nash_swarm::format_count);
}

TEST_CASE("same_bits: the bits of a product are the same everywhere") {
  ThreadPool pool(2);
  for (const InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(support::name_of(set));
    const auto multiply = [&](const PackedMatrix& matrix, const Row& inputs) {
      const Activations x =
          quantize_activations(matrix.basis(), support::rows_of(inputs, matrix.in_features()), pool,
                               nash_swarm::ActivationBits::eight, set);
      return support::multiply(matrix, x, pool, set);
    };
    for (const std::size_t tokens : {support::golden_tokens, std::size_t{1}}) {
      CAPTURE(tokens);
      CHECK(support::hash_of_products(tokens, multiply) == support::golden_product_hash);
    }
  }
}

TEST_CASE("same_bits: the bits of decoded rows are the same everywhere") {
  support::Fnv1a rows;
  support::for_each_golden_matrix([&](const PackedMatrix& matrix, const Row&) {
    Row weights(matrix.in_features());
    for (std::size_t row = 0; row < matrix.out_features(); ++row) {
      decode_row(matrix, row, TensorView<float, 1>{weights.data(), {weights.size()}});
      rows.add(weights);
    }
  });
  CHECK(rows.value() == 0x77ad22f5409b7259u);
}
