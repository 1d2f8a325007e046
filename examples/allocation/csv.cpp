#include "allocation/csv.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

namespace allocation {
namespace {

/// Reads all of a field as a number.
template <class T>
bool parse(std::string_view field, T& value) {
  const auto [end, problem] = std::from_chars(field.data(), field.data() + field.size(), value);
  return problem == std::errc() && end == field.data() + field.size();
}

std::string described(std::string_view column, std::string_view field) {
  return std::string(column) + " is \"" + std::string(field.substr(0, 60)) + "\"";
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
    if (quote == std::string_view::npos) throw error("a quote is not closed");
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

double read_number(const CsvReader& csv, std::string_view field, std::string_view column) {
  double value = 0;
  if (!parse(field, value) || !std::isfinite(value)) {
    throw csv.error(described(column, field), "give a finite number");
  }
  return value;
}

std::uint64_t read_count(const CsvReader& csv, std::string_view field, std::string_view column) {
  std::uint64_t value = 0;
  if (!parse(field, value)) {
    throw csv.error(described(column, field), "give a whole number, 0 or more");
  }
  return value;
}

}  // namespace allocation
