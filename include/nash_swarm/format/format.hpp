#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nash_swarm/format/panel.hpp>
#include <nash_swarm/format/window_code.hpp>

namespace nash_swarm {

/// Number of a format in packed files; never reused.
enum class FormatId : std::uint8_t {};

/// A format says what the bytes of a block mean: integer values, times `unit`, times the scale of
/// the row. Formats are static: all members belong to the type.
///
/// - `unit`: size of one integer step for weights of standard deviation 1, so that blocks of
///   different formats share the scale of their row.
/// - `gaussian_noise`: mean squared error of rounding Gaussian weights of standard deviation 1;
/// what
///   a plan expects before anything is rounded.
/// - `decode_rows(bytes, first, count, values)`: integers of some rows of a block.
template <class F>
concept FormatFigures = requires(std::byte* target, const BlockCodes& codes, const std::byte* bytes,
                                 std::size_t row, RowValues* values) {
  { F::id } -> std::convertible_to<FormatId>;
  { F::name } -> std::convertible_to<std::string_view>;
  { F::block_bytes } -> std::convertible_to<std::size_t>;
  { F::unit } -> std::convertible_to<float>;
  { F::gaussian_noise } -> std::convertible_to<double>;
  { F::encode(codes, target) }
  noexcept;
  { F::decode_rows(bytes, row, row, values) }
  noexcept;
};

/// A format in which a weight depends on its own code alone.
///
/// - `value(code)`: the integer value of a code.
/// - `nearest(x)`: the code whose value times `unit` lies nearest to x, in units of the row's
/// scale.
template <class F>
concept ScalarFormat = FormatFigures<F> && requires(std::uint16_t code, float x) {
  { F::nearest(x) }
  noexcept->std::same_as<std::uint16_t>;
  { F::value(code) }
  noexcept->std::same_as<std::int16_t>;
};

/// A format in which a weight depends on the window of its stream, to which its own code adds the
/// last bits.
///
/// - `value(window)`: the integer value of a window.
template <class F>
concept WindowFormat = FormatFigures<F> && requires(std::uint16_t window) {
  { F::family } -> std::convertible_to<WindowFamily>;
  { F::window_bits } -> std::convertible_to<unsigned>;
  { F::twice_bits } -> std::convertible_to<unsigned>;
  { F::value(window) }
  noexcept->std::same_as<std::int8_t>;
};

template <class F>
concept BlockFormat = ScalarFormat<F> || WindowFormat<F>;

inline namespace NASH_SWARM_TARGET {

template <FormatFigures F>
void decode_block(const std::byte* bytes, BlockValues& values) noexcept {
  F::decode_rows(bytes, 0, panel_rows, values.at);
}

}  // namespace NASH_SWARM_TARGET

}  // namespace nash_swarm
