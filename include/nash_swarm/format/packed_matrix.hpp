#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/finite.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/result.hpp>
#include <nash_swarm/format/cell_map.hpp>
#include <nash_swarm/format/input_basis.hpp>
#include <nash_swarm/format/row_order.hpp>

namespace nash_swarm {

/// The stored bytes of one matrix [out, in] and what is needed to multiply by it.
///
/// Weight (row, channel) of the basis = row scale × unit of the block's format × integer value.
/// Codes: panel after panel, in a panel block after block along the channels, each block as its
/// format says; a multiple of 64 bytes. Rows beyond out_features in the last panel hold the codes
/// nearest to 0. Codes and row scales are in the row order, so that kernels need not know of it;
/// whoever takes in or gives out rows does.
/// The bytes may belong to a mapped file or to the matrix itself: `storage` keeps them alive.
class PackedMatrix {
 public:
  struct Parts {
    std::string name;
    std::size_t out_features = 0;
    std::shared_ptr<const InputBasis> basis;
    std::span<const std::byte> codes;
    std::span<const BFloat16> row_scales;     ///< [out], in the row order
    std::span<const std::uint8_t> run_table;  ///< see CellMap
    std::shared_ptr<const void> storage;
    std::span<const std::uint8_t> row_order{};  ///< see RowOrder; empty for the natural order
  };

  /// An empty matrix, to be assigned to; it cannot be multiplied by.
  NASH_SWARM_KEYED PackedMatrix() = default;

  /// The checked door: after it, kernels rely on every part.
  /// @throws Error if the parts do not fit together
  NASH_SWARM_KEYED explicit PackedMatrix(Parts parts)
      : PackedMatrix(detail::value_or_raise(try_load(std::move(parts)))) {}

  NASH_SWARM_KEYED_COPIES(PackedMatrix);

  /// The same, or the error instead of throwing it.
  NASH_SWARM_KEYED static Result<PackedMatrix> try_load(Parts parts) {
    PackedMatrix matrix(std::in_place, std::move(parts));
    if (std::optional<Error> error = matrix.read_parts()) return *std::move(error);
    return matrix;
  }

  /// True for a matrix that nothing was assigned to; then only `name` may be called.
  bool empty() const noexcept { return parts_.basis == nullptr; }
  const std::string& name() const noexcept { return parts_.name; }
  std::size_t out_features() const noexcept { return parts_.out_features; }
  std::size_t in_features() const noexcept { return parts_.basis->in_features(); }
  const InputBasis& basis() const noexcept { return *parts_.basis; }
  const std::shared_ptr<const InputBasis>& shared_basis() const noexcept { return parts_.basis; }
  const CellMap& cells() const noexcept { return cells_; }
  std::span<const std::byte> codes() const noexcept { return parts_.codes; }
  std::span<const BFloat16> row_scales() const noexcept { return parts_.row_scales; }
  std::span<const std::uint8_t> run_table() const noexcept { return parts_.run_table; }
  const RowOrder& row_order() const noexcept { return row_order_; }
  /// The order as it is stored.
  std::span<const std::uint8_t> row_order_bytes() const noexcept { return parts_.row_order; }

  /// First byte of the codes of a panel.
  const std::byte* panel_codes(std::size_t panel) const noexcept {
    return parts_.codes.data() + panel_offsets_[panel];
  }

  /// Bytes stored for this matrix alone; its basis, which others may share, is counted apart.
  NASH_SWARM_KEYED std::size_t stored_bytes() const noexcept {
    return parts_.codes.size() + parts_.row_scales.size_bytes() + parts_.run_table.size() +
           parts_.row_order.size();
  }

 private:
  NASH_SWARM_KEYED PackedMatrix(std::in_place_t, Parts&& parts) : parts_(std::move(parts)) {}

  /// Reads the tables among the parts, or says what does not fit.
  NASH_SWARM_KEYED std::optional<Error> read_parts() {
    const std::string& name = parts_.name;
    if (!parts_.basis) return Error(name, "no input basis");
    if (parts_.out_features == 0) return Error(name, "0 output features");
    if (parts_.row_scales.size() != parts_.out_features) {
      return Error(name, std::to_string(parts_.row_scales.size()) + " row scales for " +
                             std::to_string(parts_.out_features) + " rows");
    }
    for (std::size_t row = 0; row < parts_.row_scales.size(); ++row) {
      if (!detail::is_finite(to_float(parts_.row_scales[row]))) {
        return Error(name, "row scale " + std::to_string(row) + " is not finite",
                     "the file is damaged");
      }
    }
    Result<RowOrder> order = decode_row_order(name, parts_.row_order, parts_.out_features);
    if (!order) return order.error();
    row_order_ = *std::move(order);
    Result<CellMap> cells = decode_runs(name, parts_.run_table, panel_count(parts_.out_features),
                                        parts_.basis->padded_features() / block_channels);
    if (!cells) return cells.error();
    cells_ = *std::move(cells);
    // Not resized: compilers keep that apart, without a key (see NASH_SWARM_TARGET).
    panel_offsets_ = std::vector<std::size_t>(cells_.panels() + 1);
    for (std::size_t p = 0; p < cells_.panels(); ++p) {
      panel_offsets_[p + 1] = panel_offsets_[p] + panel_code_bytes(cells_.panel(p));
    }
    if (parts_.codes.size() != panel_offsets_.back()) {
      return Error(name,
                   std::to_string(parts_.codes.size()) + " bytes of codes where the formats need " +
                       std::to_string(panel_offsets_.back()),
                   "the file is damaged or of another version");
    }
    return std::nullopt;
  }

  Parts parts_;
  RowOrder row_order_;
  CellMap cells_;
  std::vector<std::size_t> panel_offsets_;
};

inline namespace NASH_SWARM_TARGET {

/// Bytes that a matrix will take once it is packed with these cells in this order; equals
/// `stored_bytes()`.
inline std::size_t stored_bytes(std::size_t out_features, const CellMap& cells,
                                const RowOrder& order = {}) {
  return code_bytes(cells) + out_features * sizeof(BFloat16) + run_table_bytes(cells) +
         order.stored_bytes();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
