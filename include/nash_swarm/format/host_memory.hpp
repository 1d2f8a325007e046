#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

namespace nash_swarm {

/// Of memory that takes a packed matrix: a cache line, so that no vector of codes straddles two.
inline constexpr std::size_t packed_alignment = 64;

inline namespace NASH_SWARM_TARGET {

/// A packed matrix with all that is stored for it in memory of the host: codes, row scales, run
/// table and row order, one after the other. The given matrix may then be let go.
///
///     packed = copy_to_memory(packed, {host.allocate(packed.stored_bytes(), packed_alignment),
///                                      packed.stored_bytes()});
///
/// What is derived from the stored bytes stays on the heap: a byte for every cell, eight for every
/// panel, eight for every row if rows have an order, and the input basis.
/// @param memory of `stored_bytes()` or more, aligned to `packed_alignment`
/// @param owner kept as long as the matrix or a copy of it, for instance with a deleter that gives
/// the memory back; none for memory that outlives them
/// @throws Error if the matrix is empty, or the memory is too small or not aligned
inline PackedMatrix copy_to_memory(const PackedMatrix& matrix, std::span<std::byte> memory,
                                   std::shared_ptr<const void> owner = {}) {
  if (matrix.empty()) {
    detail::raise(Error("PackedMatrix", "the matrix is empty", "pack or load one first"));
  }
  if (memory.size() < matrix.stored_bytes()) {
    detail::raise(Error(matrix.name(),
                        std::to_string(memory.size()) + " bytes of memory for " +
                            std::to_string(matrix.stored_bytes()),
                        "give as many as stored_bytes() says"));
  }
  if (reinterpret_cast<std::uintptr_t>(memory.data()) % packed_alignment != 0) {
    detail::raise(Error(matrix.name(), "memory that is not aligned to 64 bytes",
                        "align it to packed_alignment"));
  }
  std::byte* next = memory.data();
  const auto place = [&]<class T>(std::span<const T> stored) {
    auto* const target = reinterpret_cast<T*>(next);
    if (!stored.empty()) std::memcpy(next, stored.data(), stored.size_bytes());
    next += stored.size_bytes();
    return std::span<const T>(target, stored.size());
  };
  PackedMatrix::Parts parts;
  parts.name = matrix.name();
  parts.out_features = matrix.out_features();
  parts.basis = matrix.shared_basis();
  parts.codes = place(matrix.codes());
  parts.row_scales = place(matrix.row_scales());
  parts.run_table = place(matrix.run_table());
  parts.row_order = place(matrix.row_order_bytes());
  parts.storage = std::move(owner);
  return PackedMatrix(std::move(parts));
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
