#pragma once

#include <doctest/doctest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/lcg.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace support {

using Row = std::vector<float>;

/// A shape [out, in] of a matrix.
struct Shape {
  std::size_t out;
  std::size_t in;
};

inline constexpr Shape odd_shapes[] = {{1, 64}, {17, 65}, {16, 64}, {33, 130}, {100, 256}};

inline Row random_inputs(std::size_t tokens, std::size_t channels, std::uint64_t seed) {
  Lcg random(seed);
  Row values(tokens * channels);
  for (float& value : values) value = random.real();
  return values;
}

inline nash_swarm::TensorView<const float, 2> rows_of(const Row& values, std::size_t columns) {
  return {values.data(), {values.size() / columns, columns}};
}

/// The product [tokens, out], one row after the other.
template <class Inputs, class E>
Row multiply(const nash_swarm::PackedMatrix& matrix, const Inputs& x, std::size_t tokens,
             E& executor) {
  Row y(tokens * matrix.out_features(), -1.0f);
  const nash_swarm::TensorView<float, 2> view{y.data(), {tokens, matrix.out_features()}};
  nash_swarm::matmul(matrix, x, view, executor);
  return y;
}

/// The same by an instruction set.
template <class E>
Row multiply(const nash_swarm::PackedMatrix& matrix, const nash_swarm::Activations& x, E& executor,
             nash_swarm::InstructionSet set) {
  Row y(x.tokens() * matrix.out_features(), -1.0f);
  const nash_swarm::TensorView<float, 2> view{y.data(), {x.tokens(), matrix.out_features()}};
  nash_swarm::matmul(matrix, x, view, executor, set);
  return y;
}

inline Row multiply(const nash_swarm::PackedMatrix& matrix, const Row& x) {
  return multiply(matrix, rows_of(x, matrix.in_features()), x.size() / matrix.in_features(),
                  serial);
}

/// Bits, so that NaN equals NaN and 0 does not equal −0.
inline std::vector<std::uint32_t> bits_of(const Row& values) {
  std::vector<std::uint32_t> bits(values.size());
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = std::bit_cast<std::uint32_t>(values[i]);
  return bits;
}

/// Calls check(basis) for every rotation that fits, with and without a permutation.
template <class Check>
void for_each_basis(std::size_t channels, Check&& check) {
  for (const std::size_t rotation : {0u, 64u, 128u, 256u}) {
    if (rotation != 0 && (channels + 63) / 64 * 64 % rotation != 0) continue;
    for (const bool permuted : {false, true}) {
      CAPTURE(channels);
      CAPTURE(rotation);
      CAPTURE(permuted);
      check(make_basis(channels, rotation, permuted));
    }
  }
}

}  // namespace support
