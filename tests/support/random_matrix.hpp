#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/format/packed_matrix.hpp>

#include "support/lcg.hpp"

namespace support {

/// A permutation of 0 … count − 1 (Fisher and Yates).
inline std::vector<std::uint32_t> random_permutation(std::size_t count, std::uint64_t seed) {
  std::vector<std::uint32_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = static_cast<std::uint32_t>(i);
  Lcg random(seed);
  for (std::size_t i = count; i > 1; --i) {
    std::swap(order[i - 1], order[random.below(static_cast<std::uint32_t>(i))]);
  }
  return order;
}

/// Any of the formats.
inline nash_swarm::FormatId random_format(Lcg& random) {
  return nash_swarm::format_table[random.below(std::uint32_t{nash_swarm::format_count})].id;
}

inline std::shared_ptr<const nash_swarm::InputBasis> make_basis(std::size_t in_features,
                                                                std::size_t rotation_block,
                                                                bool permuted) {
  return std::make_shared<nash_swarm::InputBasis>(
      "basis", in_features, rotation_block, 0x5eed + in_features,
      permuted ? random_permutation(in_features, 7) : std::vector<std::uint32_t>{});
}

inline nash_swarm::RowOrder random_row_order(std::size_t rows, std::uint64_t seed) {
  std::vector<std::uint32_t> panels = random_permutation(rows, seed);
  for (std::uint32_t& panel : panels) panel /= 16;
  return nash_swarm::RowOrder("order", panels);
}

/// The bytes of one matrix, to be changed at will before they become a PackedMatrix.
struct MatrixBytes {
  std::vector<std::byte> codes;
  std::vector<nash_swarm::BFloat16> row_scales;
  std::vector<std::uint8_t> run_table;
  std::vector<std::uint8_t> row_order;
};

/// Appends the bytes of one block: random, but for the codes −128 and −32768, which are not used.
inline void append_random_block(const nash_swarm::Format& format, Lcg& random,
                                std::vector<std::byte>& codes) {
  for (std::size_t i = 0; i < format.block_bytes; ++i) {
    std::uint32_t byte = random.below(256);
    if (format.id == nash_swarm::FormatId{8} && byte == 0) byte = 77;
    if (format.id == nash_swarm::FormatId{16} && i % 2 == 1 && byte == 0x80) byte = 0x81;
    codes.push_back(static_cast<std::byte>(byte));
  }
}

/// Random bytes for a matrix whose block (panel, block) has the format
/// `format_table[choose(panel, block)]`. Runs are written one block at a time, up to 256 blocks.
template <class Choose>
MatrixBytes random_bytes(std::size_t out_features, const nash_swarm::InputBasis& basis,
                         std::uint64_t seed, Choose choose) {
  MatrixBytes bytes;
  Lcg random(seed);
  for (std::size_t panel = 0; panel < (out_features + 15) / 16; ++panel) {
    for (std::size_t block = 0; block < basis.padded_features() / 64; ++block) {
      const nash_swarm::Format& format = nash_swarm::format_table[choose(panel, block)];
      const auto id = static_cast<std::uint8_t>(format.id);
      append_random_block(format, random, bytes.codes);
      if (block + 1 == basis.padded_features() / 64) {
        bytes.run_table.push_back(static_cast<std::uint8_t>(id | 0x80));
      } else {
        bytes.run_table.push_back(id);
        bytes.run_table.push_back(0);
      }
    }
  }
  for (std::size_t row = 0; row < out_features; ++row) {  // 2^-7 … 2^-3, a few of them negative
    const std::uint32_t sign = random.below(8) == 0 ? 0x8000u : 0u;
    bytes.row_scales.push_back(
        {static_cast<std::uint16_t>(sign | (0x3c00u + random.below(0x200)))});
  }
  return bytes;
}

inline nash_swarm::PackedMatrix packed(MatrixBytes bytes, std::size_t out_features,
                                       std::shared_ptr<const nash_swarm::InputBasis> basis) {
  const auto owned = std::make_shared<const MatrixBytes>(std::move(bytes));
  return nash_swarm::PackedMatrix({.name = "matrix",
                                   .out_features = out_features,
                                   .basis = std::move(basis),
                                   .codes = owned->codes,
                                   .row_scales = owned->row_scales,
                                   .run_table = owned->run_table,
                                   .storage = owned,
                                   .row_order = owned->row_order});
}

/// The same bytes for rows in another order.
inline nash_swarm::PackedMatrix in_order(const nash_swarm::PackedMatrix& matrix,
                                         const nash_swarm::RowOrder& order) {
  MatrixBytes bytes;
  bytes.codes.assign(matrix.codes().begin(), matrix.codes().end());
  bytes.row_scales.assign(matrix.row_scales().begin(), matrix.row_scales().end());
  bytes.run_table.assign(matrix.run_table().begin(), matrix.run_table().end());
  bytes.row_order = encode_row_order(order);
  return packed(std::move(bytes), matrix.out_features(), matrix.shared_basis());
}

/// A matrix of random bytes in which every block has the format `format_table[format]`.
inline nash_swarm::PackedMatrix uniform_matrix(std::size_t out_features,
                                               std::shared_ptr<const nash_swarm::InputBasis> basis,
                                               std::size_t format, std::uint64_t seed) {
  MatrixBytes bytes =
      random_bytes(out_features, *basis, seed, [&](std::size_t, std::size_t) { return format; });
  return packed(std::move(bytes), out_features, std::move(basis));
}

/// Chooses all formats in a random order, over and over, each for one or two neighbouring blocks.
class EveryFormat {
 public:
  /// Blocks that have them all.
  static constexpr std::size_t blocks = 2 * nash_swarm::format_count;

  explicit EveryFormat(std::uint64_t seed)
      : order_(random_permutation(nash_swarm::format_count, seed)), lengths_(seed) {}
  std::size_t operator()(std::size_t, std::size_t) {
    if (left_ == 0) {
      left_ = 1 + lengths_.below(2);
      next_ = (next_ + 1) % order_.size();
    }
    --left_;
    return order_[next_];
  }

 private:
  std::vector<std::uint32_t> order_;
  Lcg lengths_;
  std::size_t next_ = 0;
  std::size_t left_ = 0;  // blocks of the same format
};

/// A matrix of random bytes in cells of mixed formats: of all, if it has `EveryFormat::blocks`.
inline nash_swarm::PackedMatrix mixed_matrix(std::size_t out_features,
                                             std::shared_ptr<const nash_swarm::InputBasis> basis,
                                             std::uint64_t seed) {
  MatrixBytes bytes = random_bytes(out_features, *basis, seed, EveryFormat(seed + 1));
  return packed(std::move(bytes), out_features, std::move(basis));
}

/// A matrix in which block (panel, block) has the format `format_table[format(panel, block)]`, of
/// codes that byte() gives one after the other.
template <class FormatOf, std::invocable ByteOf>
nash_swarm::PackedMatrix any_matrix(std::size_t out_features,
                                    std::shared_ptr<const nash_swarm::InputBasis> basis,
                                    FormatOf format, ByteOf byte) {
  nash_swarm::CellMap cells(nash_swarm::panel_count(out_features),
                            nash_swarm::block_count(basis->in_features()), nash_swarm::FormatId{0});
  for (std::size_t p = 0; p < cells.panels(); ++p) {
    for (std::size_t b = 0; b < cells.blocks(); ++b) {
      cells(p, b) = nash_swarm::format_table[format(p, b)].id;
    }
  }
  MatrixBytes bytes;
  bytes.codes.resize(nash_swarm::code_bytes(cells));
  for (std::byte& code : bytes.codes) code = static_cast<std::byte>(byte());
  for (std::size_t row = 0; row < out_features; ++row) {
    bytes.row_scales.push_back(nash_swarm::to_bfloat16(1.0f + 0.1f * static_cast<float>(row % 7)));
  }
  bytes.run_table = nash_swarm::encode_runs(cells);
  return packed(std::move(bytes), out_features, std::move(basis));
}

/// The same with random codes.
template <class FormatOf>
nash_swarm::PackedMatrix any_matrix(std::size_t out_features,
                                    std::shared_ptr<const nash_swarm::InputBasis> basis,
                                    FormatOf format, std::uint64_t seed) {
  Lcg random(seed);
  return any_matrix(out_features, std::move(basis), format, [&] { return random.below(256); });
}

/// Chooses each block's format among all.
class AnyFormat {
 public:
  explicit AnyFormat(std::uint64_t seed) : random_(seed) {}
  std::size_t operator()(std::size_t, std::size_t) {
    return random_.below(std::uint32_t{nash_swarm::format_count});
  }

 private:
  Lcg random_;
};

}  // namespace support
