#pragma once

#include <cstdint>

#include <nash_swarm/format/code_planes.hpp>
#include <nash_swarm/format/format.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Levels of the scalar window codes (window = code, L = b): the Lloyd-Max quantizer of the
/// Gaussian (Max 1960, Lloyd 1982) with its largest level at 63, rounded to integers, in ascending
/// order. Stored in a decoder's table with 64 added, so that they are bytes of 1 … 127.
template <unsigned Bits>
struct GaussianLevels;

template <>
struct GaussianLevels<2> {
  static constexpr float largest = 1.5104f;
  static constexpr double noise = 0.11749;
  static constexpr std::int8_t values[4] = {-63, -19, 19, 63};
};

template <>
struct GaussianLevels<3> {
  static constexpr float largest = 2.1519f;
  static constexpr double noise = 0.03455;
  static constexpr std::int8_t values[8] = {-63, -39, -22, -7, 7, 22, 39, 63};
};

template <>
struct GaussianLevels<4> {
  static constexpr float largest = 2.7326f;
  static constexpr double noise = 0.00950;
  static constexpr std::int8_t values[16] = {-63, -48, -37, -29, -22, -15, -9, -3,
                                             3,   9,   15,  22,  29,  37,  48, 63};
};

/// Scalar table format: the code is the index of a Gaussian level.
template <unsigned Bits>
struct ScalarCode {
  static_assert(Bits >= 2 && Bits <= 4);
  using Levels = GaussianLevels<Bits>;
  static constexpr unsigned code_count = 1u << Bits;

  static constexpr FormatId id{Bits};
  static constexpr std::string_view name = Bits == 2 ? "b2_l2" : Bits == 3 ? "b3_l3" : "b4_l4";
  static constexpr std::size_t block_bytes = plane_block_bytes(Bits);
  static constexpr float unit = Levels::largest / 63.0f;
  static constexpr double gaussian_noise = Levels::noise;

  static constexpr std::int16_t value(std::uint16_t code) noexcept { return Levels::values[code]; }

  static std::uint16_t nearest(float x) noexcept {
    const float steps = x * (1.0f / unit);
    unsigned code = 0;
    for (unsigned upper = 1; upper < code_count; ++upper) {
      const float boundary =
          0.5f * static_cast<float>(Levels::values[upper - 1] + Levels::values[upper]);
      code += steps > boundary ? 1u : 0u;
    }
    return static_cast<std::uint16_t>(code);
  }

  static void encode(const BlockCodes& codes, std::byte* bytes) noexcept {
    pack_codes<Bits>(codes, bytes);
  }

  static void decode_rows(const std::byte* bytes, std::size_t first, std::size_t count,
                          RowValues* values) noexcept {
    decode_plane_rows<ScalarCode, Bits>(bytes, first, count, values);
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
