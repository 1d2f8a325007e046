#pragma once

#include <cstddef>
#include <cstdint>

#include <nash_swarm/matmul.hpp>

#include "support/products.hpp"
#include "support/random_matrix.hpp"

namespace support {

/// Hash of the bits of floats (Fowler, Noll and Vo 1991, FNV-1a), lowest byte of each first.
class Fnv1a {
 public:
  void add(const Row& values) {
    for (const std::uint32_t bits : bits_of(values)) {
      for (unsigned shift = 0; shift < 32; shift += 8) {
        value_ = (value_ ^ ((bits >> shift) & 0xffu)) * 0x100000001b3u;
      }
    }
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

inline constexpr std::size_t golden_tokens = 6;

/// Inputs of exact small dyadic numbers first, then of all sizes.
inline Row golden_inputs(std::size_t channels) {
  Row x = random_inputs(golden_tokens, channels, 99);
  for (std::size_t k = 0; k < channels; ++k) {
    x[k] = static_cast<float>(static_cast<int>(k * 5 % 17) - 8) * 0.125f;
    x[channels + k] *= 0x1p-70f;
    x[2 * channels + k] *= static_cast<float>(k % 7) * 0x1.fp20f;
  }
  return x;
}

/// What `hash_of_products` is, as the portable kernels found it. Bytes and inputs come from
/// integers, so every compiler, machine, flag, instruction set and number of threads or tokens has
/// to find it.
inline constexpr std::uint64_t golden_product_hash = 0xc92fa49e71ce461bu;

/// Calls visit(matrix, x) for matrices of cells of all formats with `golden_tokens` inputs each.
template <class Visit>
void for_each_golden_matrix(Visit&& visit) {
  for (const Shape& shape : {Shape{37, 130}, Shape{150, 500}, Shape{5, 1}, Shape{16, 256}}) {
    const Row x = golden_inputs(shape.in);
    for_each_basis(shape.in, [&](const auto& basis) {
      visit(mixed_matrix(shape.out, basis, 2024 + shape.in), x);
    });
  }
}

/// Hash of the products of the golden matrices, one after the other, each of `tokens` inputs at a
/// time, which divide `golden_tokens`.
/// @param multiply gives the product of a matrix with some inputs as a Row
template <class Multiply>
std::uint64_t hash_of_products(std::size_t tokens, Multiply&& multiply) {
  Fnv1a products;
  for_each_golden_matrix([&](const nash_swarm::PackedMatrix& matrix, const Row& x) {
    const auto step = static_cast<std::ptrdiff_t>(tokens * matrix.in_features());
    for (auto first = x.begin(); first != x.end(); first += step) {
      products.add(multiply(matrix, Row(first, first + step)));
    }
  });
  return products.value();
}

}  // namespace support
