#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <cstddef>

#include "support/golden_product.hpp"
#include "support/products.hpp"

using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using support::Row;

TEST_CASE("same_bits: the bits of a product are the same everywhere") {
  support::Fnv1a products;
  support::Fnv1a rows;
  ThreadPool pool(2);
  support::for_each_golden_matrix([&](const PackedMatrix& matrix, const Row& x) {
    const std::size_t in = matrix.in_features();
    products.add(support::multiply(matrix, support::rows_of(x, in), support::golden_tokens, pool));
    Row weights(in);
    for (std::size_t row = 0; row < matrix.out_features(); ++row) {
      decode_row(matrix, row, TensorView<float, 1>{weights.data(), {in}});
      rows.add(weights);
    }
  });
  CHECK(products.value() == support::golden_product_hash);
  CHECK(rows.value() == 0xa7d4a0ac559f8665u);
}
