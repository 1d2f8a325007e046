#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include <nash_swarm/format/format.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// 16-bit format: two's complement integers of 1/4096 of the row's scale, little-endian. At equal
/// bytes fixed point beats binary16 here: a row has one scale, so the step of binary16 at one
/// standard deviation (2⁻¹⁰) is four times as coarse, and products stay integer.
/// A block is 32 vectors of 64 bytes; vector v holds channels 2v and 2v + 1 of all rows, so that
/// one 32-bit lane is one row.
struct RawCode {
  static constexpr int offset = 32768;
  static constexpr int smallest = -32767;
  static constexpr int largest = 32767;

  static constexpr FormatId id{16};
  static constexpr std::string_view name = "raw16";
  static constexpr std::size_t block_bytes = 2 * block_weights;
  static constexpr float unit = 1.0f / 4096.0f;
  static constexpr double gaussian_noise = 4.967e-9;  // unit² / 12

  static constexpr std::int16_t value(std::uint16_t code) noexcept {
    return static_cast<std::int16_t>(code - offset);
  }

  static std::uint16_t nearest(float x) noexcept {
    const float steps = x * (1.0f / unit);
    if (!(steps > static_cast<float>(smallest))) return static_cast<std::uint16_t>(1);
    if (steps >= static_cast<float>(largest)) return static_cast<std::uint16_t>(65535);
    const int integer = static_cast<int>(steps + (steps < 0.0f ? -0.5f : 0.5f));
    return static_cast<std::uint16_t>(integer + offset);
  }

  static void encode(const BlockCodes& codes, std::byte* bytes) noexcept {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t k = 0; k < block_channels; ++k) {
        const auto bits = static_cast<std::uint16_t>(codes.at[row][k] - offset);
        std::byte* place = bytes + position(row, k);
        place[0] = static_cast<std::byte>(bits & 0xffu);
        place[1] = static_cast<std::byte>(bits >> 8);
      }
    }
  }

  static void decode_rows(const std::byte* bytes, std::size_t first, std::size_t count,
                          RowValues* values) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < block_channels; ++k) {
        const std::byte* place = bytes + position(first + i, k);
        const unsigned bits =
            std::to_integer<unsigned>(place[0]) | (std::to_integer<unsigned>(place[1]) << 8);
        values[i][k] = static_cast<std::int16_t>(static_cast<std::uint16_t>(bits));
      }
    }
  }

 private:
  static constexpr std::size_t position(std::size_t row, std::size_t k) noexcept {
    return 64 * (k / 2) + 4 * row + 2 * (k % 2);
  }
};

/// 0-bit format: every weight of the block is 0 and nothing is stored.
struct PrunedCode {
  static constexpr FormatId id{0};
  static constexpr std::string_view name = "pruned";
  static constexpr std::size_t block_bytes = 0;
  static constexpr float unit = 1.0f;
  static constexpr double gaussian_noise = 1.0;

  static constexpr std::int16_t value(std::uint16_t) noexcept { return 0; }
  static std::uint16_t nearest(float) noexcept { return 0; }
  static void encode(const BlockCodes&, std::byte*) noexcept {}
  static void decode_rows(const std::byte*, std::size_t, std::size_t count,
                          RowValues* values) noexcept {
    std::memset(values, 0, count * sizeof *values);
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
