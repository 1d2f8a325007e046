#include "allocation/csv.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include <nash_swarm/io/printable_name.hpp>

namespace allocation {
namespace {

/// Reads all of a field as a number.
template <class T>
bool parse(std::string_view field, T& value) {
  const auto [end, problem] = std::from_chars(field.data(), field.data() + field.size(), value);
  return problem == std::errc() && end == field.data() + field.size();
}

std::string described(std::string_view column, std::string_view field) {
  return std::string(column) + " is " + nash_swarm::printable(field);
}

bool is_utf8(std::string_view text) {
  const bool ascii = std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
  if (ascii) return true;
  try {
    static_cast<void>(nlohmann::json(text).dump());
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

}  // namespace

CsvReader::CsvReader(const std::filesystem::path& path) : name_(path.string()), file_(path) {
  const auto bytes = file_.bytes();
  rest_ = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
}

bool CsvReader::next(std::vector<std::string_view>& fields) {
  while (rest_.starts_with('\n') || rest_.starts_with("\r\n")) {
    rest_.remove_prefix(rest_.front() == '\n' ? 1 : 2);
    ++next_line_;
  }
  fields.clear();
  line_ = next_line_;
  if (rest_.empty()) return false;
  for (;;) {
    if (rest_.starts_with('"')) {
      fields.push_back(quoted_field());
    } else {
      const std::size_t end = std::min(rest_.find_first_of(",\n"), rest_.size());
      std::string_view field = rest_.substr(0, end);
      rest_.remove_prefix(end);
      if (field.ends_with('\r') && !rest_.starts_with(',')) field.remove_suffix(1);
      fields.push_back(field);
    }
    if (rest_.starts_with(',')) {
      rest_.remove_prefix(1);
      continue;
    }
    if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() != '\n') {
      throw error("text follows a closing quote", "double the quotes inside a quoted field");
    }
    if (!rest_.empty()) rest_.remove_prefix(1);
    ++next_line_;
    return true;
  }
}

std::string_view CsvReader::quoted_field() {
  std::string text;
  bool doubled = false;
  rest_.remove_prefix(1);
  std::string_view all = rest_;
  std::size_t length = 0;
  for (;;) {
    const std::size_t quote = rest_.find('"');
    if (quote == std::string_view::npos)
      throw error("a quote is not closed", "end the field with a quote");
    text.append(rest_.substr(0, quote));
    length += quote;
    rest_.remove_prefix(quote + 1);
    if (!rest_.starts_with('"')) break;
    doubled = true;
    text += '"';
    length += 2;
    rest_.remove_prefix(1);
  }
  for (const char letter : text) next_line_ += letter == '\n';
  if (!doubled) return all.substr(0, length);
  unescaped_.push_back(std::move(text));
  return unescaped_.back();
}

nash_swarm::Error CsvReader::error(const std::string& problem, const std::string& remedy) const {
  return nash_swarm::Error(name_, "line " + std::to_string(line_) + ": " + problem, remedy);
}

std::vector<std::size_t> find_columns(const CsvReader& csv,
                                      const std::vector<std::string_view>& header,
                                      const std::vector<std::string>& names, std::size_t required,
                                      const std::string& remedy) {
  constexpr std::size_t missing = static_cast<std::size_t>(-1);
  std::unordered_map<std::string_view, std::size_t> known;
  for (std::size_t k = 0; k < names.size(); ++k) known.emplace(names[k], k);
  std::vector<std::size_t> places(names.size(), missing);
  std::string unknown;
  for (std::size_t place = 0; place < header.size(); ++place) {
    const auto found = known.find(header[place]);
    const std::string name = nash_swarm::printable(header[place]);
    if (found == known.end()) {
      if (unknown.empty()) unknown = "the column " + name + " is unknown";
    } else if (std::exchange(places[found->second], place) != missing) {
      throw csv.error("the column " + name + " is there twice", remedy);
    }
  }
  for (std::size_t k = 0; k < names.size(); ++k) {
    if (k == required && !unknown.empty()) break;
    if (places[k] == missing) throw csv.error("there is no column '" + names[k] + "'", remedy);
  }
  if (!unknown.empty()) throw csv.error(unknown, remedy);
  return places;
}

void check_fields(const CsvReader& csv, const std::vector<std::string_view>& fields,
                  std::size_t count) {
  if (fields.size() == count) return;
  throw csv.error(
      std::to_string(fields.size()) + " fields where the header has " + std::to_string(count),
      "give one for every column, in quotes if it holds a comma");
}

std::string_view read_name(const CsvReader& csv, std::string_view field, std::string_view column) {
  if (field.empty()) throw csv.error(std::string(column) + " is empty", "give a name");
  if (!is_utf8(field)) throw csv.error(std::string(column) + " is no UTF-8", "save it as UTF-8");
  return field;
}

double read_number(const CsvReader& csv, std::string_view field, std::string_view column) {
  double value = 0;
  if (!parse(field, value) || !std::isfinite(value)) {
    throw csv.error(described(column, field), "give a finite number in the range of a double");
  }
  return value;
}

std::uint64_t read_count(const CsvReader& csv, std::string_view field, std::string_view column) {
  std::uint64_t value = 0;
  if (!parse(field, value)) {
    throw csv.error(described(column, field), "give a whole number from 0 to 2^64 - 1");
  }
  return value;
}

}  // namespace allocation
