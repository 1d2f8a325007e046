#pragma once

#include <cstdint>

#include <nash_swarm/format/code_planes.hpp>
#include <nash_swarm/format/format.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Step of a uniform quantizer and its mean squared error for Gaussian weights of standard
/// deviation 1, step optimised (Jayant and Noll 1984, table 4.1).
template <unsigned Bits>
struct GaussianStep;
template <>
struct GaussianStep<5> {
  static constexpr float step = 0.1881f;
  static constexpr double noise = 0.00349;
};
template <>
struct GaussianStep<6> {
  static constexpr float step = 0.1041f;
  static constexpr double noise = 0.00104;
};
template <>
struct GaussianStep<8> {
  static constexpr float step = 0.0308f;
  static constexpr double noise = 0.0000912;
};

/// Linear format: value = code − 2^(Bits − 1). The 8-bit format leaves out −128, so that the
/// magnitude of a value fits seven bits.
template <unsigned Bits>
struct LinearCode {
  static_assert(Bits == 5 || Bits == 6 || Bits == 8);
  static constexpr int offset = 1 << (Bits - 1);
  static constexpr int smallest = Bits == 8 ? -127 : -offset;
  static constexpr int largest = offset - 1;

  static constexpr FormatId id{Bits};
  static constexpr std::string_view name = Bits == 5   ? "linear5"
                                           : Bits == 6 ? "linear6"
                                                       : "linear8";
  static constexpr std::size_t block_bytes = plane_block_bytes(Bits);
  static constexpr float unit = GaussianStep<Bits>::step;
  static constexpr double gaussian_noise = GaussianStep<Bits>::noise;

  static constexpr std::int16_t value(std::uint16_t code) noexcept {
    return static_cast<std::int16_t>(code - offset);
  }

  static std::uint16_t nearest(float x) noexcept {
    const float steps = x * (1.0f / unit);
    if (!(steps > static_cast<float>(smallest))) {
      return static_cast<std::uint16_t>(smallest + offset);
    }
    if (steps >= static_cast<float>(largest)) return static_cast<std::uint16_t>(largest + offset);
    const int integer = static_cast<int>(steps + (steps < 0.0f ? -0.5f : 0.5f));
    return static_cast<std::uint16_t>(integer + offset);
  }

  static void encode(const BlockCodes& codes, std::byte* bytes) noexcept {
    pack_codes<Bits>(codes, bytes);
  }

  static void decode_rows(const std::byte* bytes, std::size_t first, std::size_t count,
                          RowValues* values) noexcept {
    decode_plane_rows<LinearCode, Bits>(bytes, first, count, values);
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
