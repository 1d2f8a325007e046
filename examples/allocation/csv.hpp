#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/mapped_file.hpp>

namespace allocation {

/// Reads a file of comma-separated values (RFC 4180: fields may be quoted, a quote in them is
/// doubled; lines end with LF or CRLF; a byte order mark is skipped) record by record. Fields are
/// views that live as long as the reader.
class CsvReader {
 public:
  /// @throws nash_swarm::Error if the file cannot be read or is empty
  explicit CsvReader(const std::filesystem::path& path);

  /// Reads the next record; blank lines are passed over.
  /// @return false at the end of the file
  /// @throws nash_swarm::Error for a quote that is not closed or not followed by a comma
  bool next(std::vector<std::string_view>& fields);

  /// Where the last record began, from 1.
  std::size_t line() const noexcept { return line_; }

  /// An error that names the file and the line.
  nash_swarm::Error error(const std::string& problem, const std::string& remedy = {}) const;

 private:
  std::string_view quoted_field();

  std::string name_;
  nash_swarm::MappedFile file_;
  std::string_view rest_;
  std::size_t line_ = 0;
  std::size_t next_line_ = 1;
  std::deque<std::string> unescaped_;  // fields with doubled quotes
};

/// A number in a field.
/// @throws nash_swarm::Error naming the line and the column
double read_number(const CsvReader& csv, std::string_view field, std::string_view column);
std::uint64_t read_count(const CsvReader& csv, std::string_view field, std::string_view column);

}  // namespace allocation
