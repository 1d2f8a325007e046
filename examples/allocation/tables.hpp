#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nash_swarm/game/game.hpp>

namespace allocation {

/// A game that was read from files, with the names of its players and formats.
struct NamedGame {
  std::vector<std::string> players;  ///< in the order of their first rows
  std::vector<std::string> formats;  ///< in the order of their first rows
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
  std::vector<std::uint32_t> format;  ///< of every strategy
  std::size_t dimension = 0;
  std::vector<double> headings;
  std::vector<nash_swarm::Edge> edges;

  nash_swarm::Game view() const {
    return {{first, bytes, loss}, {dimension, headings, {}}, edges, format};
  }
  const std::string& format_name(std::size_t player, std::size_t strategy) const {
    return formats[format[first[player] + strategy]];
  }
};

/// Reads tables with the columns player, format, bytes, loss and, with coupling, h0, h1, …; a row
/// is a strategy, and the rows of a player need not follow each other.
/// @throws nash_swarm::Error naming file, line and remedy
NamedGame read_tables(const std::filesystem::path& path);

/// Reads edges with the columns a, b (names of players) and bytes into the game.
/// @throws nash_swarm::Error naming file, line and remedy
void read_edges(const std::filesystem::path& path, NamedGame& game);

}  // namespace allocation
