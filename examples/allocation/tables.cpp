#include "allocation/tables.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "allocation/csv.hpp"

namespace allocation {
namespace {

/// Numbers for names, in the order of their first use.
class Names {
 public:
  std::uint32_t number_of(std::string_view name) {
    const auto [entry, added] =
        numbers_.try_emplace(name, static_cast<std::uint32_t>(names_.size()));
    if (added) names_.emplace_back(name);
    return entry->second;
  }
  std::vector<std::string> take() { return std::move(names_); }

 private:
  std::unordered_map<std::string_view, std::uint32_t> numbers_;  // views on the file
  std::vector<std::string> names_;
};

struct Row {
  std::uint32_t player = 0;
  std::uint32_t format = 0;
  std::uint64_t bytes = 0;
  double loss = 0;
  std::size_t line = 0;
};

std::string joined(const std::vector<std::string_view>& fields) {
  std::string text;
  for (const std::string_view field : fields)
    text += (text.empty() ? "" : ",") + std::string(field);
  return text;
}

/// @return how many columns of a heading there are
std::size_t check_header(const CsvReader& csv, const std::vector<std::string_view>& header) {
  std::vector<std::string_view> expected{"player", "format", "bytes", "loss"};
  std::vector<std::string> headings;
  for (std::size_t k = 4; k < header.size(); ++k) headings.push_back("h" + std::to_string(k - 4));
  expected.insert(expected.end(), headings.begin(), headings.end());
  if (header != expected) {
    throw csv.error("the columns are \"" + joined(header) + "\"",
                    "begin the file with player,format,bytes,loss and, with coupling, h0,h1,…");
  }
  return headings.size();
}

void check_fields(const CsvReader& csv, const std::vector<std::string_view>& fields,
                  std::size_t count) {
  if (fields.size() == count) return;
  throw csv.error(std::to_string(fields.size()) + " fields where the header has " +
                  std::to_string(count));
}

/// Sorts the rows by player, keeping the order of each one's rows, into the tables of the game.
void gather(const std::string& file, const std::vector<Row>& rows,
            const std::vector<double>& headings, NamedGame& game) {
  game.first.assign(game.players.size() + 1, 0);
  for (const Row& row : rows) ++game.first[row.player + 1];
  for (std::size_t p = 0; p < game.players.size(); ++p) game.first[p + 1] += game.first[p];
  std::vector<std::size_t> next(game.first.begin(), game.first.end() - 1);
  game.bytes.resize(rows.size());
  game.loss.resize(rows.size());
  game.format.resize(rows.size());
  game.headings.resize(headings.size());
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const Row& row = rows[r];
    const std::size_t begin = game.first[row.player];
    const std::size_t place = next[row.player]++;
    const auto known = game.format.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto end = game.format.begin() + static_cast<std::ptrdiff_t>(place);
    if (std::find(known, end, row.format) != end) {
      throw nash_swarm::Error(file,
                              "line " + std::to_string(row.line) + ": player \"" +
                                  game.players[row.player] + "\" has format \"" +
                                  game.formats[row.format] + "\" twice",
                              "give every format of a player once");
    }
    game.bytes[place] = row.bytes;
    game.loss[place] = row.loss;
    game.format[place] = row.format;
    std::copy_n(headings.begin() + static_cast<std::ptrdiff_t>(r * game.dimension), game.dimension,
                game.headings.begin() + static_cast<std::ptrdiff_t>(place * game.dimension));
  }
}

}  // namespace

NamedGame read_tables(const std::filesystem::path& path) {
  CsvReader csv(path);
  std::vector<std::string_view> fields;
  if (!csv.next(fields)) throw csv.error("no header");
  NamedGame game;
  game.dimension = check_header(csv, fields);
  Names players;
  Names formats;
  std::vector<Row> rows;
  std::vector<double> headings;
  while (csv.next(fields)) {
    check_fields(csv, fields, 4 + game.dimension);
    if (fields[0].empty()) throw csv.error("no name of a player");
    if (fields[1].empty()) throw csv.error("no name of a format");
    Row row{players.number_of(fields[0]), formats.number_of(fields[1]),
            read_count(csv, fields[2], "bytes"), read_number(csv, fields[3], "loss"), csv.line()};
    if (row.loss < 0) {
      throw csv.error("loss is \"" + std::string(fields[3]) + "\"", "give losses of 0 or more");
    }
    rows.push_back(row);
    for (std::size_t k = 0; k < game.dimension; ++k) {
      headings.push_back(read_number(csv, fields[4 + k], "h" + std::to_string(k)));
    }
  }
  if (rows.empty()) throw csv.error("no players", "give a row for every format of every player");
  game.players = players.take();
  game.formats = formats.take();
  gather(path.string(), rows, headings, game);
  return game;
}

void read_edges(const std::filesystem::path& path, NamedGame& game) {
  std::unordered_map<std::string_view, std::size_t> players;
  for (std::size_t p = 0; p < game.players.size(); ++p) players.emplace(game.players[p], p);
  CsvReader csv(path);
  std::vector<std::string_view> fields;
  if (!csv.next(fields) || fields != std::vector<std::string_view>{"a", "b", "bytes"}) {
    throw csv.error("the columns are \"" + joined(fields) + "\"", "begin the file with a,b,bytes");
  }
  std::set<std::pair<std::size_t, std::size_t>> known;
  while (csv.next(fields)) {
    check_fields(csv, fields, 3);
    const auto player = [&](std::string_view name) {
      const auto found = players.find(name);
      if (found == players.end()) {
        throw csv.error("no player is called \"" + std::string(name) + "\"",
                        "name players of the tables");
      }
      return found->second;
    };
    const std::size_t a = player(fields[0]);
    const std::size_t b = player(fields[1]);
    if (a == b) throw csv.error("the edge joins \"" + std::string(fields[0]) + "\" with itself");
    if (!known.emplace(std::min(a, b), std::max(a, b)).second) {
      throw csv.error("these two have an edge already", "give every pair once");
    }
    game.edges.push_back({std::min(a, b), std::max(a, b), read_count(csv, fields[2], "bytes")});
  }
  std::sort(game.edges.begin(), game.edges.end(),
            [](const auto& x, const auto& y) { return std::pair(x.a, x.b) < std::pair(y.a, y.b); });
}

}  // namespace allocation
