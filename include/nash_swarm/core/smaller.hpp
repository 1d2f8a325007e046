#pragma once

#include <cstddef>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// The smaller of two sizes, as std::min gives it; but <algorithm> takes long to compile.
constexpr std::size_t smaller(std::size_t a, std::size_t b) noexcept {
  return b < a ? b : a;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
