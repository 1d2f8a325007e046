#pragma once

#include <cstdint>

namespace support {

/// Linear congruential generator (Knuth's MMIX constants). Integers only, so that every machine
/// and every standard library gives the same numbers.
class Lcg {
 public:
  explicit constexpr Lcg(std::uint64_t seed) noexcept : state_(seed) { next(); }

  constexpr std::uint32_t next() noexcept {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  /// 0 … count − 1.
  constexpr std::uint32_t below(std::uint32_t count) noexcept {
    return static_cast<std::uint32_t>((std::uint64_t{next()} * count) >> 32);
  }
  /// A multiple of 2^-20 in [−8, 8): exact in float.
  constexpr float real() noexcept { return (static_cast<float>(next() >> 8) - 0x1p23f) * 0x1p-20f; }

 private:
  std::uint64_t state_;
};

}  // namespace support
