#pragma once

#include <bit>
#include <cstdint>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// False for NaN and infinity, in files compiled with -ffast-math too: there `std::isfinite` is
/// always true.
constexpr bool is_finite(float value) noexcept {
  return (std::bit_cast<std::uint32_t>(value) & 0x7f800000u) != 0x7f800000u;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
