#pragma once

#include <bit>
#include <cstdint>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// IEEE 754 binary16, stored as its bits.
struct Half {
  std::uint16_t bits = 0;
  friend constexpr bool operator==(Half, Half) noexcept = default;
};

/// bfloat16: the upper 16 bits of a binary32.
struct BFloat16 {
  std::uint16_t bits = 0;
  friend constexpr bool operator==(BFloat16, BFloat16) noexcept = default;
};

static_assert(sizeof(Half) == 2 && sizeof(BFloat16) == 2);

inline namespace NASH_SWARM_TARGET {

/// Exact; NaN stays NaN.
constexpr float to_float(Half half) noexcept {
  const std::uint32_t sign = (half.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = half.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity and NaN: all exponent bits set, mantissa kept
    return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  if (magnitude < 0x0400u) {  // zero and subnormal: an integer number of 2^-24, exact in float
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
}

/// Exact.
constexpr float to_float(BFloat16 value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}

/// Rounds to nearest, ties to even; too large becomes infinity, NaN becomes a quiet NaN.
constexpr Half to_half(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  std::uint32_t result = 0;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x47800000u) {  // 2^16 and above
    result = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // normal: the carry of rounding runs into the exponent
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    result = (rounded - ((127u - 15u) << 23)) >> 13;
  } else if (magnitude >= 0x33000000u) {  // subnormal: shift the mantissa with its hidden bit
    const std::uint32_t shift = 126u - (magnitude >> 23);
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    const std::uint32_t half_unit = 1u << (shift - 1u);
    result = (mantissa + half_unit - 1u + ((mantissa >> shift) & 1u)) >> shift;
  }
  return Half{static_cast<std::uint16_t>(sign | result)};
}

/// Rounds to nearest, ties to even; too large becomes infinity, NaN becomes a quiet NaN.
constexpr BFloat16 to_bfloat16(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return BFloat16{static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  }
  return BFloat16{static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
