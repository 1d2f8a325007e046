#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nash_swarm/format/panel.hpp>

namespace nash_swarm {

/// Number of a format in packed files; never reused.
enum class FormatId : std::uint8_t {};

/// A format says what the bytes of a block mean: integer values, times `unit`, times the scale of
/// the row. Formats are static: all members belong to the type.
///
/// - `unit`: size of one integer step for weights of standard deviation 1, so that blocks of
///   different formats share the scale of their row.
/// - `gaussian_noise`: mean squared error of nearest rounding on Gaussian weights of standard
///   deviation 1; what a plan expects before anything is rounded.
/// - `value(code)`: the integer value of a code.
/// - `nearest(x)`: the code whose value times `unit` lies nearest to x, in units of the row's scale.
template <class F>
concept BlockFormat = requires(const std::byte* bytes, std::byte* target, BlockValues& values,
                               const BlockCodes& codes, float x) {
  { F::id } -> std::convertible_to<FormatId>;
  { F::name } -> std::convertible_to<std::string_view>;
  { F::block_bytes } -> std::convertible_to<std::size_t>;
  { F::unit } -> std::convertible_to<float>;
  { F::gaussian_noise } -> std::convertible_to<double>;
  { F::nearest(x) } noexcept -> std::same_as<std::uint16_t>;
  { F::value(codes.at[0][0]) } noexcept -> std::same_as<std::int16_t>;
  { F::encode(codes, target) } noexcept;
  { F::decode(bytes, values) } noexcept;
};

}  // namespace nash_swarm
