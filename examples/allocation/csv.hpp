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

/// The places in `header` of the columns `names`, which may stand in any order.
/// @param required the first so many of `names` are told to be missing before others to be unknown
/// @param remedy what the header should be
/// @throws nash_swarm::Error for a column that is missing, unknown or there twice
std::vector<std::size_t> find_columns(const CsvReader& csv,
                                      const std::vector<std::string_view>& header,
                                      const std::vector<std::string>& names, std::size_t required,
                                      const std::string& remedy);

/// @throws nash_swarm::Error unless a record has as many fields as the header
void check_fields(const CsvReader& csv, const std::vector<std::string_view>& fields,
                  std::size_t count);

/// A name in a field: not empty, and UTF-8, as it goes into a plan.
/// @throws nash_swarm::Error naming the line and the column
std::string_view read_name(const CsvReader& csv, std::string_view field, std::string_view column);

/// A number in a field.
/// @throws nash_swarm::Error naming the line and the column
double read_number(const CsvReader& csv, std::string_view field, std::string_view column);
std::uint64_t read_count(const CsvReader& csv, std::string_view field, std::string_view column);

}  // namespace allocation
