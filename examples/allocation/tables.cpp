#include "allocation/tables.hpp"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <nash_swarm/io/printable_name.hpp>

#include "allocation/csv.hpp"

namespace allocation {
namespace {

/// Numbers for names, in the order of their first use.
class Names {
 public:
  std::uint32_t number_of(std::string_view name) {
    if (!names_.empty() && name == names_[last_]) return last_;  // most rows follow their like
    const auto [entry, added] =
        numbers_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (added) names_.emplace_back(name);
    last_ = entry->second;
    return last_;
  }
  std::vector<std::string> take() { return std::move(names_); }

 private:
  std::unordered_map<std::string_view, std::uint32_t> numbers_;  // views on the file
  std::vector<std::string> names_;
  std::uint32_t last_ = 0;
};

constexpr const char* header_remedy =
    "begin the file with player,format,bytes,loss and, with coupling, h0,h1,…";

struct Row {
  std::uint32_t player = 0;
  std::uint32_t format = 0;
  std::uint64_t bytes = 0;
  double loss = 0;
  std::size_t line = 0;
};

/// Where the columns of a table stand in its rows.
struct Columns {
  std::size_t player = 0;
  std::size_t format = 0;
  std::size_t bytes = 0;
  std::size_t loss = 0;
  std::vector<std::size_t> headings;
};

Columns read_header(const CsvReader& csv, const std::vector<std::string_view>& header) {
  std::vector<std::string> names{"player", "format", "bytes", "loss"};
  const std::size_t required = names.size();
  for (std::size_t k = required; k < header.size(); ++k) {
    names.push_back("h" + std::to_string(k - required));
  }
  const auto places = find_columns(csv, header, names, required, header_remedy);
  return {places[0], places[1], places[2], places[3], {places.begin() + 4, places.end()}};
}

/// Refuses a format that a player has twice.
/// @param line [strategies of all players]
void check_formats(const std::string& file, const NamedGame& game,
                   const std::vector<std::size_t>& line) {
  std::vector<std::size_t> last_player(game.formats.size(), game.players.size());
  for (std::size_t player = 0; player < game.players.size(); ++player) {
    for (std::size_t place = game.first[player]; place < game.first[player + 1]; ++place) {
      if (std::exchange(last_player[game.format[place]], player) != player) continue;
      throw nash_swarm::Error(file,
                              "line " + std::to_string(line[place]) + ": player " +
                                  nash_swarm::printable(game.players[player]) + " has format " +
                                  nash_swarm::printable(game.formats[game.format[place]]) +
                                  " twice",
                              "give every format of a player once");
    }
  }
}

/// Sorts the rows by player, keeping the order of each one's rows, into the tables of the game.
void gather(const std::string& file, const std::vector<Row>& rows,
            const std::vector<double>& headings, NamedGame& game) {
  game.first.assign(game.players.size() + 1, 0);
  for (const Row& row : rows) ++game.first[row.player + 1];
  for (std::size_t p = 0; p < game.players.size(); ++p) game.first[p + 1] += game.first[p];
  std::vector<std::size_t> next(game.first.begin(), game.first.end() - 1);
  std::vector<std::size_t> line(rows.size());
  game.bytes.resize(rows.size());
  game.loss.resize(rows.size());
  game.format.resize(rows.size());
  game.headings.resize(headings.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const Row& row = rows[r];
    const std::size_t place = next[row.player]++;
    line[place] = row.line;
    game.bytes[place] = row.bytes;
    game.loss[place] = row.loss;
    game.format[place] = row.format;
    std::copy_n(headings.begin() + static_cast<std::ptrdiff_t>(r * game.dimension), game.dimension,
                game.headings.begin() + static_cast<std::ptrdiff_t>(place * game.dimension));
  }
  check_formats(file, game, line);
}

/// Refuses totals that overflow, which no single line shows.
void check_totals(const std::string& file, const NamedGame& game) {
  try {
    nash_swarm::check(game.view());
  } catch (const nash_swarm::Error& error) {
    throw nash_swarm::Error(file, error.subject() + ": " + error.problem(), error.remedy());
  }
}

}  // namespace

NamedGame read_tables(const std::filesystem::path& path) {
  CsvReader csv(path);
  std::vector<std::string_view> fields;
  if (!csv.next(fields)) throw csv.error("there is no header", header_remedy);
  NamedGame game;
  const std::size_t width = fields.size();
  const Columns columns = read_header(csv, fields);
  game.dimension = columns.headings.size();
  Names players;
  Names formats;
  std::vector<Row> rows;
  std::vector<double> headings;
  while (csv.next(fields)) {
    check_fields(csv, fields, width);
    const Row row{players.number_of(read_name(csv, fields[columns.player], "player")),
                  formats.number_of(read_name(csv, fields[columns.format], "format")),
                  read_count(csv, fields[columns.bytes], "bytes"),
                  read_number(csv, fields[columns.loss], "loss"), csv.line()};
    if (row.loss < 0) {
      throw csv.error("loss is " + nash_swarm::printable(fields[columns.loss]),
                      "give losses of 0 or more");
    }
    rows.push_back(row);
    for (std::size_t k = 0; k < game.dimension; ++k) {
      headings.push_back(read_number(csv, fields[columns.headings[k]], "h" + std::to_string(k)));
    }
  }
  if (rows.empty()) throw csv.error("no players", "give a row for every format of every player");
  game.players = players.take();
  game.formats = formats.take();
  gather(path.string(), rows, headings, game);
  check_totals(path.string(), game);
  return game;
}

void read_edges(const std::filesystem::path& path, NamedGame& game) {
  std::unordered_map<std::string_view, std::size_t> players;
  for (std::size_t p = 0; p < game.players.size(); ++p) players.emplace(game.players[p], p);
  CsvReader csv(path);
  std::vector<std::string_view> fields;
  csv.next(fields);
  const auto columns =
      find_columns(csv, fields, {"a", "b", "bytes"}, 3, "begin the file with a,b,bytes");
  const auto player = [&](std::string_view name) {
    const auto found = players.find(name);
    if (found != players.end()) return found->second;
    throw csv.error("no player is called " + nash_swarm::printable(name),
                    "name players of the tables");
  };
  std::vector<std::pair<nash_swarm::Edge, std::size_t>> edges;  // with their lines
  while (csv.next(fields)) {
    check_fields(csv, fields, columns.size());
    const std::size_t a = player(fields[columns[0]]);
    const std::size_t b = player(fields[columns[1]]);
    if (a == b) {
      throw csv.error("the edge joins " + nash_swarm::printable(game.players[a]) + " with itself",
                      "leave it out");
    }
    const std::uint64_t bytes = read_count(csv, fields[columns[2]], "bytes");
    edges.push_back({{std::min(a, b), std::max(a, b), bytes}, csv.line()});
  }
  const auto ends = [](const auto& entry) { return std::pair(entry.first.a, entry.first.b); };
  std::ranges::stable_sort(edges, {}, ends);
  const auto twice = std::ranges::adjacent_find(edges, {}, ends);
  if (twice != edges.end()) {
    throw nash_swarm::Error(path.string(),
                            "line " + std::to_string(std::next(twice)->second) +
                                ": these two players have an edge already",
                            "give every pair once");
  }
  for (const auto& [edge, line] : edges) game.edges.push_back(edge);
  check_totals(path.string(), game);
}

}  // namespace allocation
