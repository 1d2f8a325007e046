#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nash_swarm/format/format.hpp>

namespace nash_swarm {

/// Figures of a hash format that depend on its rate.
struct HashFigures {
  std::string_view name;
  float unit;
  double noise;
};

inline namespace NASH_SWARM_TARGET {

/// The 16-bit hash: the window times an odd constant, 7 bits of either byte, summed.
/// (The constant is the best of 120 random ones, by the noise at 2, 3 and 4 bits.)
struct Hash16 {
  static constexpr WindowFamily family = WindowFamily::hash16;
  static constexpr unsigned first_id = 0x50;
  static constexpr std::uint32_t multiplier = 0xa73f;
  /// By 2 · bits − 2.
  static constexpr std::array<HashFigures, 7> figures{{{"b1_hash16", 0.01799f, 0.29170},
                                                       {"b1.5_hash16", 0.01952f, 0.15066},
                                                       {"b2_hash16", 0.02029f, 0.07523},
                                                       {"b2.5_hash16", 0.02105f, 0.03926},
                                                       {"b3_hash16", 0.02335f, 0.02006},
                                                       {"b3.5_hash16", 0.02411f, 0.01057},
                                                       {"b4_hash16", 0.02411f, 0.00559}}};

  static constexpr std::int8_t value(std::uint16_t window) noexcept {
    const std::uint32_t hash = (window * multiplier) & 0x7f7fu;
    return static_cast<std::int8_t>(static_cast<int>((hash & 0xffu) + (hash >> 8)) - 127);
  }
};

/// The 32-bit hash (Tseng et al. 2024, QTIP, section 3.1.1: one multiplication, sum of bytes): the
/// window times an odd constant, 6 bits of each of the four bytes, summed.
/// (The constant is among the best of 60 random ones, which hardly differ.)
struct Hash32 {
  static constexpr WindowFamily family = WindowFamily::hash32;
  static constexpr unsigned first_id = 0x60;
  static constexpr std::uint32_t multiplier = 0x29638b37;
  /// By 2 · bits − 2.
  static constexpr std::array<HashFigures, 7> figures{{{"b1_hash32", 0.02435f, 0.28502},
                                                       {"b1.5_hash32", 0.02652f, 0.14264},
                                                       {"b2_hash32", 0.02760f, 0.07111},
                                                       {"b2.5_hash32", 0.02760f, 0.03612},
                                                       {"b3_hash32", 0.02977f, 0.01808},
                                                       {"b3.5_hash32", 0.02977f, 0.00910},
                                                       {"b4_hash32", 0.02868f, 0.00463}}};

  static constexpr std::int8_t value(std::uint16_t window) noexcept {
    const std::uint32_t hash = (window * multiplier) & 0x3f3f3f3fu;
    const std::uint32_t sum =
        (hash & 0xffu) + ((hash >> 8) & 0xffu) + ((hash >> 16) & 0xffu) + (hash >> 24);
    return static_cast<std::int8_t>(static_cast<int>(sum) - 126);
  }
};

/// Window code whose values are a hash of the last 16 bits. Every weight adds `bits` to its stream;
/// at half-bit rates weights with the smaller and the larger number of bits take turns.
///
/// Tiles lie in pairs: a 32-bit lane of a vector of 64 bytes is one row, and its lower and upper 16
/// bits belong to the first and the second tile of a pair. Half a lane holds the bits of its row,
/// tile after tile, first bit in the highest place, in the words of consecutive vectors; a block of
/// b bits per weight has 2·b of them. A decoder makes windows with a shift across two words.
template <class Hash, unsigned TwiceBits>
struct HashCode {
  static_assert(TwiceBits >= 2 && TwiceBits <= 8);
  static constexpr WindowFamily family = Hash::family;
  static constexpr unsigned window_bits = 16;
  static constexpr unsigned twice_bits = TwiceBits;

  static constexpr FormatId id{Hash::first_id + TwiceBits};
  static constexpr std::string_view name = Hash::figures[TwiceBits - 2].name;
  static constexpr std::size_t block_bytes = block_weights / 16 * TwiceBits;
  static constexpr float unit = Hash::figures[TwiceBits - 2].unit;
  static constexpr double gaussian_noise = Hash::figures[TwiceBits - 2].noise;

  static constexpr std::int8_t value(std::uint16_t window) noexcept { return Hash::value(window); }

  static void encode(const BlockCodes& codes, std::byte* bytes) noexcept {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t half = 0; half < 2; ++half) {
        std::uint32_t buffer = 0;
        unsigned filled = 0;
        std::byte* place = bytes + 4 * row + 2 * half;
        for (std::size_t step = 0; step < half_channels; ++step) {
          buffer = (buffer << stream_bits(TwiceBits, step)) | codes.at[row][channel(half, step)];
          filled += stream_bits(TwiceBits, step);
          if (filled < word_bits) continue;
          filled -= word_bits;
          const std::uint32_t word = buffer >> filled;
          place[0] = static_cast<std::byte>(word & 0xffu);
          place[1] = static_cast<std::byte>((word >> 8) & 0xffu);
          place += 64;
        }
      }
    }
  }

  static void unpack_row(const std::byte* bytes, std::size_t row, std::uint16_t* codes) noexcept {
    for (std::size_t half = 0; half < 2; ++half) {
      std::uint32_t buffer = 0;
      unsigned ahead = 0;  // bits of the buffer that are still to be read
      const std::byte* place = bytes + 4 * row + 2 * half;
      for (std::size_t step = 0; step < half_channels; ++step) {
        const unsigned bits = stream_bits(TwiceBits, step);
        if (ahead < bits) {
          buffer = (buffer << word_bits) | std::to_integer<std::uint32_t>(place[0]) |
                   (std::to_integer<std::uint32_t>(place[1]) << 8);
          ahead += word_bits;
          place += 64;
        }
        ahead -= bits;
        codes[channel(half, step)] =
            static_cast<std::uint16_t>((buffer >> ahead) & ((1u << bits) - 1u));
      }
    }
  }

  static void decode_rows(const std::byte* bytes, std::size_t first, std::size_t count,
                          RowValues* values) noexcept {
    decode_windows<HashCode>(bytes, first, count, values);
  }

 private:
  static constexpr unsigned word_bits = 16;
  static constexpr std::size_t half_channels = block_channels / 2;

  static constexpr std::size_t channel(std::size_t half, std::size_t step) noexcept {
    const std::size_t pair = step / tile_channels;
    return (2 * pair + half) * tile_channels + step % tile_channels;
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
