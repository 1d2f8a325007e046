#include <nash_swarm/matmul.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>

#include "support/products.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using support::for_each_basis;
using support::Row;
using support::Shape;

namespace {

/// Hash of the bits of floats (Fowler, Noll and Vo 1991, FNV-1a), lowest byte of each first.
class Fnv1a {
 public:
  void add(const Row& values) {
    for (const std::uint32_t bits : support::bits_of(values)) {
      for (unsigned shift = 0; shift < 32; shift += 8) {
        value_ = (value_ ^ ((bits >> shift) & 0xffu)) * 0x100000001b3u;
      }
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

/// Inputs of exact small dyadic numbers first, then of all sizes.
Row golden_inputs(std::size_t tokens, std::size_t channels) {
  Row x = support::random_inputs(tokens, channels, 99);
  for (std::size_t k = 0; k < channels; ++k) {
    x[k] = static_cast<float>(static_cast<int>(k * 5 % 17) - 8) * 0.125f;
    x[channels + k] *= 0x1p-70f;
    x[2 * channels + k] *= static_cast<float>(k % 7) * 0x1.fp20f;
  }
  return x;
}

}  // namespace

// Bytes and inputs come from integers, so every compiler, machine, flag and number of threads has
// to find these bits.
TEST_CASE("same_bits: the bits of a product are the same everywhere") {
  constexpr std::size_t tokens = 6;
  Fnv1a products;
  Fnv1a rows;
  ThreadPool pool(2);
  for (const Shape& shape : {Shape{37, 130}, Shape{128, 200}, Shape{5, 1}, Shape{16, 256}}) {
    for_each_basis(shape.in, [&](const auto& basis) {
      const PackedMatrix matrix = support::mixed_matrix(shape.out, basis, 2024 + shape.in);
      const Row x = golden_inputs(tokens, shape.in);
      products.add(support::multiply(matrix, support::rows_of(x, shape.in), tokens, pool));
      Row weights(shape.in);
      for (std::size_t row = 0; row < shape.out; ++row) {
        decode_row(matrix, row, TensorView<float, 1>{weights.data(), {shape.in}});
        rows.add(weights);
      }
    });
  }
  CHECK(products.value() == 0x1f5b66b7a81a967du);
  CHECK(rows.value() == 0xa7d4a0ac559f8665u);
}
