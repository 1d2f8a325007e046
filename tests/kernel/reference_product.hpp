#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>

#include "kernel/reference_weight.hpp"

/// The product as the documents describe it: no code of the library but plain reads of bytes, sums
/// in double, one weight after the other.
namespace reference {

/// The value of a bfloat16 by its definition: sign, 8 bits of exponent, 7 bits of mantissa.
inline double bfloat16_value(unsigned bits) {
  const double sign = (bits & 0x8000u) != 0 ? -1 : 1;
  const int exponent = static_cast<int>((bits >> 7) & 0xffu);
  const double mantissa = bits & 0x7fu;
  if (exponent == 0) return sign * std::ldexp(mantissa, -133);
  return sign * std::ldexp(128 + mantissa, exponent - 134);
}

/// A dense matrix in double, row after row.
struct Dense {
  std::size_t rows;
  std::size_t columns;
  std::vector<double> values;
  double& at(std::size_t row, std::size_t column) { return values[row * columns + column]; }
  double at(std::size_t row, std::size_t column) const { return values[row * columns + column]; }
};

/// The format of every block, panel after panel, read from the run table.
inline std::vector<unsigned> block_formats(const nash_swarm::PackedMatrix& matrix) {
  const std::size_t blocks = (matrix.in_features() + 63) / 64;
  const auto table = matrix.run_table();
  std::vector<unsigned> formats;
  for (std::size_t i = 0; i < table.size();) {
    const unsigned first = table[i++];
    std::size_t length = blocks - formats.size() % blocks;  // to the end of the panel
    if (first < 0x80) {
      length = table[i++] + std::size_t{1};
      if (blocks > 256) length += std::size_t{256} * table[i++];
    }
    formats.insert(formats.end(), length, first & 0x7fu);
  }
  return formats;
}

/// The weights [out, padded in] in the basis of the matrix.
inline Dense basis_weights(const nash_swarm::PackedMatrix& matrix) {
  const std::size_t padded = (matrix.in_features() + 63) / 64 * 64;
  const std::size_t blocks = padded / 64;
  Dense weights{matrix.out_features(), padded, std::vector<double>(matrix.out_features() * padded)};
  const std::vector<unsigned> formats = block_formats(matrix);
  const std::byte* bytes = matrix.codes().data();
  for (std::size_t i = 0; i < formats.size(); ++i) {
    const std::size_t first_row = i / blocks * 16;
    const BlockIntegers integers = integers_of(formats[i], bytes);
    for (std::size_t row = 0; row < 16 && first_row + row < weights.rows; ++row) {
      const double scale = bfloat16_value(matrix.row_scales()[first_row + row].bits);
      for (std::size_t k = 0; k < 64; ++k) {
        weights.at(first_row + row, i % blocks * 64 + k) =
            scale * unit(formats[i]) * integers[row][k];
      }
    }
    bytes += block_bytes(formats[i]);
  }
  return weights;
}

/// Entry (row, column) of the Hadamard matrix: −1 to the number of bits set in both.
inline double hadamard(std::size_t row, std::size_t column) {
  double entry = 1;
  for (std::size_t both = row & column; both != 0; both /= 2) {
    if (both % 2 == 1) entry = -entry;
  }
  return entry;
}

/// Matrix R of a basis, [in, padded]: a row vector v of the input's channels becomes v·R.
inline Dense rotation(const nash_swarm::InputBasis& basis) {
  const std::size_t block = basis.rotation_block();
  Dense map{basis.in_features(), basis.padded_features(),
            std::vector<double>(basis.in_features() * basis.padded_features())};
  for (std::size_t i = 0; i < basis.in_features(); ++i) {
    const std::size_t channel = basis.permutation().empty() ? i : basis.permutation()[i];
    if (block == 0) {
      map.at(channel, i) = 1;
      continue;
    }
    for (std::size_t j = i / block * block; j < (i / block + 1) * block; ++j) {
      map.at(channel, j) = static_cast<double>(basis.signs()[i]) * hadamard(i % block, j % block) /
                           std::sqrt(static_cast<double>(block));
    }
  }
  return map;
}

/// The weights [out, in] in the order and basis of the input.
/// @param packed what `basis_weights` are
inline Dense input_weights(const Dense& packed, const nash_swarm::InputBasis& basis) {
  const Dense map = rotation(basis);
  Dense weights{packed.rows, map.rows, std::vector<double>(packed.rows * map.rows)};
  for (std::size_t row = 0; row < packed.rows; ++row) {
    for (std::size_t channel = 0; channel < map.rows; ++channel) {
      double sum = 0;
      for (std::size_t j = 0; j < packed.columns; ++j) {
        sum += packed.at(row, j) * map.at(channel, j);
      }
      weights.at(row, channel) = sum;
    }
  }
  return weights;
}

/// A product [tokens, out] with the sum of the magnitudes of its terms, the measure of its error.
struct Product {
  Dense values;
  Dense magnitudes;
};

/// x · Wᵀ for x [tokens, columns of the weights].
inline Product multiply(const Dense& weights, const Dense& x) {
  const Dense zero{x.rows, weights.rows, std::vector<double>(x.rows * weights.rows)};
  Product product{zero, zero};
  for (std::size_t token = 0; token < x.rows; ++token) {
    for (std::size_t row = 0; row < weights.rows; ++row) {
      for (std::size_t k = 0; k < weights.columns; ++k) {
        const double term = weights.at(row, k) * x.at(token, k);
        product.values.at(token, row) += term;
        product.magnitudes.at(token, row) += std::fabs(term);
      }
    }
  }
  return product;
}

/// The activations as numbers, [tokens, padded in].
inline Dense activation_values(const nash_swarm::Activations& x) {
  Dense values{x.tokens(), x.channels(), std::vector<double>(x.tokens() * x.channels())};
  for (std::size_t row = 0; row < x.tokens() * x.rows_per_token(); ++row) {
    for (std::size_t k = 0; k < x.channels(); ++k) {
      values.at(row / x.rows_per_token(), k) +=
          static_cast<double>(x.scale(row, k / x.scale_block())) *
          static_cast<double>(x.code(row, k));
    }
  }
  return values;
}

}  // namespace reference
