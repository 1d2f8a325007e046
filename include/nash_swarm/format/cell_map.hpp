#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/result.hpp>
#include <nash_swarm/format/formats.hpp>

namespace nash_swarm {

/// The format of every block of a matrix, [panels, blocks].
///
/// Stored as the run table: for every panel its runs of equal blocks along the channels. A run is
/// one byte, the number of the format, whose high bit says that the run goes on to the end of the
/// panel; without it the blocks of the run less one follow, in one byte, or in two, low byte first,
/// if the matrix has more than 256 blocks along its channels. So a panel takes one byte and
/// `boundary_bytes` for every boundary between two formats, whatever the other panels hold.
class CellMap {
 public:
  /// Set in the byte of a format whose run goes on to the end of the panel.
  static constexpr std::uint8_t to_the_end = 0x80;

  NASH_SWARM_KEYED CellMap() = default;
  NASH_SWARM_KEYED CellMap(std::size_t panels, std::size_t blocks, FormatId format)
      : panels_(panels), blocks_(blocks), formats_(panels * blocks, format) {}
  NASH_SWARM_KEYED_COPIES(CellMap);

  std::size_t panels() const noexcept { return panels_; }
  std::size_t blocks() const noexcept { return blocks_; }
  FormatId& operator()(std::size_t panel, std::size_t block) noexcept {
    return formats_[panel * blocks_ + block];
  }
  FormatId operator()(std::size_t panel, std::size_t block) const noexcept {
    return formats_[panel * blocks_ + block];
  }
  /// Formats of the blocks of one panel.
  NASH_SWARM_KEYED std::span<const FormatId> panel(std::size_t panel) const noexcept {
    return panels(panel, panel + 1);
  }
  /// Those of the panels first … past − 1, one after the other.
  NASH_SWARM_KEYED std::span<const FormatId> panels(std::size_t first,
                                                    std::size_t past) const noexcept {
    return {formats_.data() + first * blocks_, (past - first) * blocks_};
  }
  NASH_SWARM_KEYED friend bool operator==(const CellMap&, const CellMap&) = default;

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

/// Bytes of the run table for one boundary between two formats in a panel of that many blocks.
constexpr std::size_t boundary_bytes(std::size_t blocks) noexcept {
  return blocks > 256 ? 3 : 2;
}

/// Bytes of the run table as it is stored.
inline std::size_t run_table_bytes(const CellMap& cells) noexcept {
  if (cells.blocks() == 0) return 0;
  std::size_t boundaries = 0;
  for (std::size_t p = 0; p < cells.panels(); ++p) {
    for (std::size_t b = 1; b < cells.blocks(); ++b) boundaries += cells(p, b) != cells(p, b - 1);
  }
  return cells.panels() + boundaries * boundary_bytes(cells.blocks());
}

/// The run table as it is stored.
inline std::vector<std::uint8_t> encode_runs(const CellMap& cells) {
  std::vector<std::uint8_t> table;
  for (std::size_t p = 0; p < cells.panels(); ++p) {
    for (std::size_t b = 0; b < cells.blocks();) {
      std::size_t length = 1;
      while (b + length < cells.blocks() && cells(p, b + length) == cells(p, b)) ++length;
      const auto id = static_cast<std::uint8_t>(cells(p, b));
      b += length;
      if (b == cells.blocks()) {
        table.push_back(id | CellMap::to_the_end);
        break;
      }
      table.push_back(id);
      table.push_back(static_cast<std::uint8_t>(length - 1));
      if (cells.blocks() > 256) table.push_back(static_cast<std::uint8_t>((length - 1) >> 8));
    }
  }
  return table;
}

/// Reads a run table. The error is an unknown format, runs that do not cover the panels exactly, or
/// bytes left over.
/// @param name names the matrix in messages
inline Result<CellMap> decode_runs(const std::string& name, std::span<const std::uint8_t> table,
                                   std::size_t panels, std::size_t blocks) {
  const auto error_at = [&](std::size_t place, const std::string& problem) {
    return Error(name, "run table, byte " + std::to_string(place) + ": " + problem,
                 "the file is damaged or of another version");
  };
  CellMap cells(panels, blocks, FormatId{0});
  std::size_t place = 0;
  for (std::size_t p = 0; p < panels; ++p) {
    for (std::size_t b = 0; b < blocks;) {
      if (place == table.size()) return error_at(place, "the table ends too early");
      const std::uint8_t first = table[place++];
      const FormatId id{static_cast<std::uint8_t>(first & ~CellMap::to_the_end)};
      if (format_index(id) == format_count) {
        return error_at(place - 1, "unknown format " + std::to_string(static_cast<unsigned>(id)));
      }
      std::size_t length = blocks - b;
      if ((first & CellMap::to_the_end) == 0) {
        if (table.size() - place < boundary_bytes(blocks) - 1) {
          return error_at(table.size(), "the table ends too early");
        }
        length = std::size_t{table[place++]} + 1;
        if (blocks > 256) length += std::size_t{table[place++]} << 8;
        // The last run of a panel is marked: whatever the cells, there is one table for them.
        if (length >= blocks - b) {
          return error_at(place - 1, "an unmarked run does not end inside the panel");
        }
      }
      for (std::size_t i = 0; i < length; ++i) cells(p, b + i) = id;
      b += length;
    }
  }
  if (place != table.size()) return error_at(place, "bytes are left over");
  return cells;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
