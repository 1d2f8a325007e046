#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// A 64-bit hash of everything that was added, in order: equal inputs have equal fingerprints, and
/// two different ones by chance once in 2^64. It tells stored work apart, it keeps nobody out:
/// inputs of equal fingerprint can be made on purpose.
class Fingerprint {
 public:
  NASH_SWARM_KEYED void add(std::uint64_t number) noexcept {
    value_ = (std::rotl(value_, 29) ^ number) * 0x9e3779b97f4a7c15u;
    value_ ^= value_ >> 32;
  }

  /// Adds bytes and their number, so that "ab" + "c" and "a" + "bc" differ.
  NASH_SWARM_KEYED void add(std::span<const std::byte> bytes) noexcept {
    add(std::uint64_t{bytes.size()});
    std::uint64_t word = 0;
    for (; bytes.size() >= sizeof word; bytes = bytes.subspan(sizeof word)) {
      std::memcpy(&word, bytes.data(), sizeof word);
      add(word);
    }
    if (bytes.empty()) return;
    word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    add(word);
  }

  NASH_SWARM_KEYED void add(std::string_view text) noexcept { add(std::as_bytes(std::span(text))); }

  std::uint64_t value() const noexcept { return value_; }

 private:
  std::uint64_t value_ = 0x243f6a8885a308d3u;
};

inline namespace NASH_SWARM_TARGET {

/// Sixteen hexadecimal digits.
inline std::string fingerprint_text(std::uint64_t fingerprint) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text(16, '0');
  for (std::size_t i = 0; i < text.size(); ++i) {
    text[i] = digits[(fingerprint >> (60 - 4 * i)) & 0xfu];
  }
  return text;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
