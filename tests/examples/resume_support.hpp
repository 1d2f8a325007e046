#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "examples/tiny_model.hpp"
#include "io/support.hpp"
#include "transformer/calibration.hpp"
#include "transformer/checkpoint.hpp"

/// What the tests of interrupted work share.

namespace nash_swarm::test {

/// Five windows of the tiny model.
inline std::vector<std::int32_t> some_tokens(std::uint32_t seed = 1) {
  std::vector<std::int32_t> tokens(5 * 64);
  for (std::int32_t& token : tokens) {
    seed = seed * 1664525u + 1013904223u;
    token = static_cast<std::int32_t>(seed >> 22);
  }
  return tokens;
}

/// The context of the tiny model.
inline constexpr std::size_t tiny_context = 64;

struct Killed : std::runtime_error {
  Killed() : std::runtime_error("killed") {}
};

/// A progress that throws at its call of that number, counted from 0.
inline transformer::WeightProgress killing(std::size_t at) {
  return [at, calls = std::size_t{0}](std::size_t) mutable {
    if (calls++ == at) throw Killed();
  };
}

inline transformer::WeightProgress counting(std::size_t& calls) {
  return [&calls](std::size_t) { ++calls; };
}

/// Files in a folder with `part` in their names.
inline std::ptrdiff_t files_named(const std::filesystem::path& folder, const std::string& part) {
  std::ptrdiff_t count = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    count += contains(entry.path().filename().string(), part) ? 1 : 0;
  }
  return count;
}

}  // namespace nash_swarm::test
