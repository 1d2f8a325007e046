#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <nash_swarm/matmul.hpp>

#include "support/integer_product.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::Activations;
using nash_swarm::BlockCodes;
using nash_swarm::Format;

namespace {

/// A window, or the code of a format without windows, and its value.
struct Extreme {
  std::uint16_t window = 0;
  int value = 0;
};

struct Extremes {
  unsigned window_bits;
  Extreme smallest;
  Extreme largest;
};

/// Table over formats.
struct ExtremesOf {
  template <nash_swarm::BlockFormat F>
  static Extremes of() {
    unsigned bits = F::block_bytes / 128;
    if constexpr (nash_swarm::WindowFormat<F>) bits = F::window_bits;
    const Extreme zero{0, F::value(0)};
    Extremes own{bits, zero, zero};
    for (std::uint32_t w = 1; w >> bits == 0; ++w) {
      const auto window = static_cast<std::uint16_t>(w);
      const Extreme one{window, F::value(window)};
      if (one.value < own.smallest.value) own.smallest = one;
      if (one.value > own.largest.value) own.largest = one;
    }
    return own;
  }
};

/// A block in which every tile's stream repeats a window, so that the bytes of a lane, which are of
/// four tiles, have its value together.
std::vector<std::byte> repeated(const Format& format, std::uint16_t window, unsigned window_bits) {
  const std::size_t twice_bits = format.block_bytes / 64;
  BlockCodes codes{};
  for (std::size_t row = 0; row < nash_swarm::panel_rows; ++row) {
    for (std::size_t k = 0; k < nash_swarm::block_channels; ++k) {
      const std::size_t tile_row = row * nash_swarm::tile_channels * twice_bits / 2;
      const std::size_t channel = k % nash_swarm::tile_channels;
      unsigned code = 0;
      for (std::size_t i = channel * twice_bits / 2; i < (channel + 1) * twice_bits / 2; ++i) {
        const std::size_t place = window_bits - 1 - (tile_row + i) % window_bits;
        code = code << 1 | (unsigned{window} >> place & 1u);
      }
      codes.at[row][k] = static_cast<std::uint16_t>(code);
    }
  }
  std::vector<std::byte> bytes(format.block_bytes);
  format.encode(codes, bytes.data());
  return bytes;
}

bool has_value(const Format& format, const std::vector<std::byte>& block, int value) {
  nash_swarm::BlockValues values;
  format.decode(block.data(), values);
  return std::any_of(std::begin(values.at), std::end(values.at), [&](const auto& row) {
    return std::find(std::begin(row), std::end(row), value) != std::end(row);
  });
}

/// All 127, all −127, and both in turn, along the channels of a tile and from tile to tile.
constexpr std::size_t pattern_count = 3;
float extreme_code(std::size_t pattern, std::size_t channel) {
  const std::size_t turn = channel + channel / nash_swarm::tile_channels;
  return (pattern == 2 ? turn % 2 : pattern) == 0 ? 127.0f : -127.0f;
}

/// Tokens of one pattern after the other, in the basis, where no rotation keeps them from their
/// extremes.
Activations extreme_activations(const nash_swarm::InputBasis& basis, std::size_t tokens,
                                std::size_t first_pattern) {
  Activations x(tokens, basis);
  const auto& rounding =
      nash_swarm::detail::activation_rounding_for(nash_swarm::InstructionSet::portable);
  for (std::size_t t = 0; t < tokens; ++t) {
    std::vector<float> codes(x.channels());
    for (std::size_t k = 0; k < codes.size(); ++k) {
      codes[k] = extreme_code((first_pattern + t) % pattern_count, k);
    }
    rounding.codes(codes.data(), 1.0f, codes.size(), x.code_place(t, 0));
    for (std::size_t b = 0; b < x.channels() / x.scale_block(); ++b) x.scale(t, b) = 0.75f;
  }
  return x;
}

/// Tokens that are alone, with another, and with all that stand side by side and one more.
void check_extreme_activations(const nash_swarm::PackedMatrix& matrix) {
  const auto check = [&](std::size_t tokens, std::size_t pattern) {
    CAPTURE(pattern);
    support::check_every_set(matrix, extreme_activations(matrix.basis(), tokens, pattern));
  };
  for (std::size_t pattern = 0; pattern < pattern_count; ++pattern) {
    check(1, pattern);
    check(2, pattern);
  }
  check(17, 0);
}

}  // namespace

TEST_CASE("panel product: weights and activations at their extremes") {
  const auto all_extremes = nash_swarm::Formats::map<ExtremesOf>();
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    const Format& format = nash_swarm::format_table[f];
    CAPTURE(format.name);
    const Extremes& own = all_extremes[f];
    for (const Extreme& extreme : {own.smallest, own.largest}) {
      CAPTURE(extreme.value);
      const std::vector<std::byte> block = repeated(format, extreme.window, own.window_bits);
      REQUIRE(has_value(format, block, extreme.value));
      // Sums of 64 channels, and of 256.
      for (const std::size_t rotation : {64u, 256u}) {
        CAPTURE(rotation);
        std::size_t place = 0;
        check_extreme_activations(support::any_matrix(
            nash_swarm::panel_rows, support::make_basis(256, rotation, false),
            [&](auto, auto) { return f; }, [&] { return block[place++ % block.size()]; }));
      }
    }
  }
}
