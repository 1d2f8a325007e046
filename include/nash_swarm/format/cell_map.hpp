#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/format/formats.hpp>

namespace nash_swarm {

/// The format of every block of a matrix, [panels, blocks]. A cell is a run of equal blocks.
///
/// Stored as the run table: for every panel its runs along the channels, two bytes each: the number
/// of the format, and the blocks of the run less one (longer runs are split). The runs of a panel
/// cover its blocks exactly, so no lengths are stored; if all panels are alike, the runs of one are
/// stored and stand for all.
class CellMap {
 public:
  static constexpr std::size_t run_bytes = 2;

  CellMap() = default;
  CellMap(std::size_t panels, std::size_t blocks, FormatId format)
      : panels_(panels), blocks_(blocks), formats_(panels * blocks, format) {}

  std::size_t panels() const noexcept { return panels_; }
  std::size_t blocks() const noexcept { return blocks_; }
  FormatId& operator()(std::size_t panel, std::size_t block) noexcept {
    return formats_[panel * blocks_ + block];
  }
  FormatId operator()(std::size_t panel, std::size_t block) const noexcept {
    return formats_[panel * blocks_ + block];
  }
  /// Formats of the blocks of one panel.
  std::span<const FormatId> panel(std::size_t panel) const noexcept {
    return {formats_.data() + panel * blocks_, blocks_};
  }
  friend bool operator==(const CellMap&, const CellMap&) = default;

 private:
  std::size_t panels_ = 0;
  std::size_t blocks_ = 0;
  std::vector<FormatId> formats_;
};

inline namespace NASH_SWARM_TARGET {

/// Bytes of the codes of one panel.
inline std::size_t panel_code_bytes(std::span<const FormatId> formats) noexcept {
  std::size_t bytes = 0;
  for (const FormatId id : formats) bytes += format_table[format_index(id)].block_bytes;
  return bytes;
}

/// Bytes of the codes of all panels.
inline std::size_t code_bytes(const CellMap& cells) noexcept {
  std::size_t bytes = 0;
  for (std::size_t p = 0; p < cells.panels(); ++p) bytes += panel_code_bytes(cells.panel(p));
  return bytes;
}

/// The run table as it is stored.
inline std::vector<std::uint8_t> encode_runs(const CellMap& cells) {
  bool alike = true;
  for (std::size_t p = 1; p < cells.panels() && alike; ++p) {
    for (std::size_t b = 0; b < cells.blocks(); ++b) alike = alike && cells(p, b) == cells(0, b);
  }
  std::vector<std::uint8_t> table;
  for (std::size_t p = 0; p < cells.panels() && (p == 0 || !alike); ++p) {
    for (std::size_t b = 0; b < cells.blocks();) {
      std::size_t length = 1;
      while (length < 256 && b + length < cells.blocks() && cells(p, b + length) == cells(p, b)) {
        ++length;
      }
      table.push_back(static_cast<std::uint8_t>(cells(p, b)));
      table.push_back(static_cast<std::uint8_t>(length - 1));
      b += length;
    }
  }
  return table;
}

/// Reads a run table.
/// @param name names the matrix in messages
/// @throws Error for an unknown format, runs that do not cover the panels exactly, or bytes left over
inline CellMap decode_runs(const std::string& name, std::span<const std::uint8_t> table,
                           std::size_t panels, std::size_t blocks) {
  const auto fail = [&](std::size_t place, const std::string& problem) {
    throw Error(name, "run table, byte " + std::to_string(place) + ": " + problem,
                "the file is damaged or of another version");
  };
  CellMap cells(panels, blocks, FormatId{0});
  std::size_t place = 0;
  std::size_t p = 0;
  for (; p < panels && (p == 0 || place < table.size()); ++p) {
    for (std::size_t b = 0; b < blocks;) {
      if (table.size() - place < CellMap::run_bytes) fail(place, "the table ends too early");
      const FormatId id{table[place]};
      const std::size_t length = std::size_t{table[place + 1]} + 1;
      if (format_index(id) == format_count) {
        fail(place, "unknown format " + std::to_string(table[place]));
      }
      if (length > blocks - b) fail(place + 1, "a run goes beyond the panel");
      for (std::size_t i = 0; i < length; ++i) cells(p, b + i) = id;
      b += length;
      place += CellMap::run_bytes;
    }
  }
  if (place != table.size()) fail(place, "bytes are left over");
  if (p == 1) {
    for (std::size_t q = 1; q < panels; ++q) {
      for (std::size_t b = 0; b < blocks; ++b) cells(q, b) = cells(0, b);
    }
  } else if (p != panels) {
    fail(place, "the table ends after " + std::to_string(p) + " of " + std::to_string(panels) +
                    " panels");
  }
  return cells;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
