#pragma once

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include <nash_swarm/core/error.hpp>

#include "io/support.hpp"

namespace nash_swarm::test {

/// How often a file was read although a byte of it was changed, and how often it was refused.
struct ChangedBytes {
  std::size_t accepted = 0;
  std::size_t refused = 0;
};

/// Writes a file, then changes each of its first bytes in turn, to every value that differs in one
/// bit and to those given.
/// @param open reads the file, and throws an Error whose subject is the file if it refuses
template <class Open>
ChangedBytes change_every_byte(const std::filesystem::path& path, const std::string& whole,
                               std::size_t first_bytes, const std::string& more_values, Open open) {
  write_text(path, whole);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&](std::size_t position, char value) {
    file.seekp(static_cast<std::streamoff>(position));
    file.put(value);
    file.flush();
  };
  ChangedBytes counts;
  for (std::size_t position = 0; position < first_bytes; ++position) {
    const char original = whole[position];
    std::set<char> values(more_values.begin(), more_values.end());
    for (unsigned bit = 0; bit < 8; ++bit) values.insert(static_cast<char>(original ^ (1 << bit)));
    values.erase(original);
    for (const char value : values) {
      put(position, value);
      try {
        open();
        ++counts.accepted;
      } catch (const Error& error) {
        if (error.subject() != path.string()) FAIL("the message does not name the file");
        ++counts.refused;
      }
    }
    put(position, original);
  }
  return counts;
}

}  // namespace nash_swarm::test
