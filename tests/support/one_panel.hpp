#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include <nash_swarm/matmul.hpp>

#include "support/random_matrix.hpp"

namespace support {

/// A panel of random codes of a format, or "mixed": block after block of another one.
inline nash_swarm::PackedMatrix one_panel(std::string_view format, std::size_t channels) {
  static constexpr std::string_view mixture[] = {"b2_l4", "b3_l4", "b4_l4", "linear6"};
  const auto format_of = [&](std::size_t, std::size_t block) {
    return nash_swarm::format_index(format == "mixed" ? mixture[block % 4] : format);
  };
  return any_matrix(nash_swarm::panel_rows,
                    std::make_shared<nash_swarm::InputBasis>("x", channels, 256, 1), format_of, 1);
}

}  // namespace support
