#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/result.hpp>
#include <nash_swarm/core/smaller.hpp>
#include <nash_swarm/format/panel.hpp>

namespace nash_swarm {

/// Which rows of a matrix lie in which panel, where they do not lie in their natural order: a panel
/// has a format for all of its rows, so rows that matter alike belong together.
///
/// Inside a panel no format minds the order, so there the rows ascend, and what is stored is the
/// panel of every row: numbers of `entry_bits` bits, one after the other from the lowest bit of the
/// first byte on; bits that are left over are 0. (Bundled model, 16,384 tokens: what sorting seems
/// to save less what is stored, in bits per weight: panels .0705, panels within groups .0737, in
/// bytes within 4,096 rows .0655, rows in bytes within 256 rows .0636, rows .0589.)
class RowOrder {
 public:
  /// The natural order, which takes no bytes.
  NASH_SWARM_KEYED RowOrder() = default;

  /// @param name names the matrix in messages
  /// @param panels [out] the panel of every row
  /// @throws Error unless every panel has its 16 rows, and the last one the rest
  NASH_SWARM_KEYED RowOrder(const std::string& name, std::span<const std::uint32_t> panels)
      : RowOrder(detail::value_or_raise(of_panels(name, panels))) {}

  NASH_SWARM_KEYED_COPIES(RowOrder);

  /// The same, or the error instead of throwing it.
  NASH_SWARM_KEYED static Result<RowOrder> of_panels(const std::string& name,
                                                     std::span<const std::uint32_t> panels) {
    const std::size_t count = panels.size();
    RowOrder order;
    // Not resized: compilers keep that apart, without a key (see NASH_SWARM_TARGET).
    order.rows_ = std::vector<std::uint32_t>(count);
    order.positions_ = std::vector<std::uint32_t>(count);
    std::vector<std::size_t> taken(panel_count(count));
    bool natural = true;
    for (std::size_t row = 0; row < count; ++row) {
      const std::size_t panel = panels[row];
      const std::size_t position = panel * panel_rows + (panel < taken.size() ? taken[panel] : 0);
      if (position >= detail::smaller(count, (panel + 1) * panel_rows)) {
        return Error(name,
                     "row order, row " + std::to_string(row) + ": panel " + std::to_string(panel) +
                         " has no place for it",
                     "the file is damaged or of another version");
      }
      ++taken[panel];
      order.rows_[position] = static_cast<std::uint32_t>(row);
      order.positions_[row] = static_cast<std::uint32_t>(position);
      natural = natural && position == row;
    }
    if (natural) return RowOrder();
    return order;
  }

  bool natural() const noexcept { return rows_.empty(); }
  /// Number of rows; 0 for the natural order, which fits any.
  std::size_t size() const noexcept { return rows_.size(); }
  /// Whether it is one of a matrix of so many rows.
  bool fits(std::size_t rows) const noexcept { return natural() || size() == rows; }
  /// The row at a position: position 16·p + i is row i of panel p.
  std::size_t row_at(std::size_t position) const noexcept {
    return natural() ? position : rows_[position];
  }
  std::size_t position_of(std::size_t row) const noexcept {
    return natural() ? row : positions_[row];
  }
  std::size_t panel_of(std::size_t row) const noexcept { return position_of(row) / panel_rows; }

  /// Bits that the number of a panel takes.
  NASH_SWARM_KEYED static constexpr std::size_t entry_bits(std::size_t rows) noexcept {
    return rows == 0 ? 0 : static_cast<std::size_t>(std::bit_width(panel_count(rows) - 1));
  }
  /// Bytes that an order of that many rows takes, unless it is the natural one.
  NASH_SWARM_KEYED static constexpr std::size_t bytes_of(std::size_t rows) noexcept {
    return (rows * entry_bits(rows) + 7) / 8;
  }
  NASH_SWARM_KEYED std::size_t stored_bytes() const noexcept { return bytes_of(size()); }

  NASH_SWARM_KEYED friend bool operator==(const RowOrder&, const RowOrder&) = default;

 private:
  std::vector<std::uint32_t> rows_;       // by position
  std::vector<std::uint32_t> positions_;  // by row
};

inline namespace NASH_SWARM_TARGET {

/// The order as it is stored.
inline std::vector<std::uint8_t> encode_row_order(const RowOrder& order) {
  std::vector<std::uint8_t> bytes(order.stored_bytes());
  const std::size_t bits = RowOrder::entry_bits(order.size());
  for (std::size_t row = 0; row < order.size(); ++row) {
    for (std::size_t bit = 0; bit < bits; ++bit) {
      const std::size_t place = row * bits + bit;
      const std::size_t set = order.panel_of(row) >> bit & 1u;
      bytes[place / 8] = static_cast<std::uint8_t>(bytes[place / 8] | set << place % 8);
    }
  }
  return bytes;
}

/// Reads a stored order; none is the natural one, which is not stored otherwise. The error is a
/// wrong number of bytes, bits left over that are not 0, or panels that do not have their 16 rows.
/// @param name names the matrix in messages
inline Result<RowOrder> decode_row_order(const std::string& name,
                                         std::span<const std::uint8_t> bytes, std::size_t rows) {
  if (bytes.empty()) return RowOrder();
  const auto error_of = [&](const std::string& problem) {
    return Error(name, "row order: " + problem, "the file is damaged or of another version");
  };
  if (bytes.size() != RowOrder::bytes_of(rows)) {
    return error_of(std::to_string(bytes.size()) + " bytes for " + std::to_string(rows) + " rows");
  }
  const auto bit_at = [&](std::size_t place) -> std::uint32_t {
    return static_cast<std::uint32_t>(bytes[place / 8]) >> place % 8 & 1u;
  };
  const std::size_t bits = RowOrder::entry_bits(rows);
  std::vector<std::uint32_t> panels(rows);
  for (std::size_t place = 0; place < rows * bits; ++place) {
    panels[place / bits] |= bit_at(place) << place % bits;
  }
  for (std::size_t place = rows * bits; place < 8 * bytes.size(); ++place) {
    if (bit_at(place) != 0) return error_of("bits are left over");
  }
  Result<RowOrder> order = RowOrder::of_panels(name, panels);
  if (order && order->natural()) return error_of("the natural one is not stored");
  return order;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
