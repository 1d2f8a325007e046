#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <nash_swarm/format/format.hpp>

namespace nash_swarm {

/// Figures of a hash format that depend on its rate.
struct HashFigures {
  std::string_view name;
  float unit;
  double noise;
};

inline namespace NASH_SWARM_TARGET {

/// The 16-bit hash: the window times an odd constant, 7 bits of either byte, summed. Two streams
/// per row, the even and the odd channels, in 16-bit words.
struct Hash16 {
  using Word = std::uint16_t;
  static constexpr StreamFamily family = StreamFamily::hash16;
  static constexpr std::size_t streams = 2;
  static constexpr unsigned first_id = 0x50;
  static constexpr std::uint32_t multiplier = 0x9e3d;
  /// By 2 · bits − 2.
  static constexpr std::array<HashFigures, 7> figures{{{"b1_hash16", 0.01676f, 0.3409},
                                                       {"b1.5_hash16", 0.01868f, 0.1833},
                                                       {"b2_hash16", 0.01951f, 0.09167},
                                                       {"b2.5_hash16", 0.02000f, 0.05082},
                                                       {"b3_hash16", 0.02013f, 0.02771},
                                                       {"b3.5_hash16", 0.02017f, 0.01705},
                                                       {"b4_hash16", 0.02005f, 0.01019}}};

  static constexpr std::int8_t value(std::uint16_t window) noexcept {
    const std::uint32_t hash = (window * multiplier) & 0x7f7fu;
    return static_cast<std::int8_t>(static_cast<int>((hash & 0xffu) + (hash >> 8)) - 127);
  }
};

/// The 32-bit hash (Tseng et al. 2024, QTIP, section 3.1.1: one multiplication, sum of bytes): the
/// window times an odd constant, 6 bits of each of the four bytes, summed. One stream per row, in
/// 32-bit words.
struct Hash32 {
  using Word = std::uint32_t;
  static constexpr StreamFamily family = StreamFamily::hash32;
  static constexpr std::size_t streams = 1;
  static constexpr unsigned first_id = 0x60;
  static constexpr std::uint32_t multiplier = 0x29638b37;
  /// By 2 · bits − 2.
  static constexpr std::array<HashFigures, 7> figures{{{"b1_hash32", 0.02351f, 0.3045},
                                                       {"b1.5_hash32", 0.02574f, 0.1564},
                                                       {"b2_hash32", 0.02679f, 0.07877},
                                                       {"b2.5_hash32", 0.02709f, 0.0403},
                                                       {"b3_hash32", 0.02722f, 0.02073},
                                                       {"b3.5_hash32", 0.02722f, 0.01074},
                                                       {"b4_hash32", 0.02720f, 0.00557}}};

  static constexpr std::int8_t value(std::uint16_t window) noexcept {
    const std::uint32_t hash = (window * multiplier) & 0x3f3f3f3fu;
    const std::uint32_t sum =
        (hash & 0xffu) + ((hash >> 8) & 0xffu) + ((hash >> 16) & 0xffu) + (hash >> 24);
    return static_cast<std::int8_t>(static_cast<int>(sum) - 126);
  }
};

/// Window code whose values are a hash of the window (L = 16). Every weight adds `bits` to its
/// stream; at half-bit rates weights with the smaller and the larger number of bits take turns.
///
/// A row's stream is written into words, first bit in the highest place. Word j of all rows (and of
/// the even and the odd channels) lies in vector j of 64 bytes, so that one 32-bit lane is one row;
/// a block of b bits per weight has 2·b vectors. A decoder makes windows with a shift across two
/// words.
template <class Hash, unsigned TwiceBits>
struct HashCode {
  static_assert(TwiceBits >= 2 && TwiceBits <= 8);
  using Stream = Hash;
  static constexpr unsigned twice_bits = TwiceBits;
  static constexpr std::size_t steps = block_channels / Hash::streams;
  static constexpr unsigned word_bits = 8 * sizeof(typename Hash::Word);

  static constexpr FormatId id{Hash::first_id + TwiceBits};
  static constexpr std::string_view name = Hash::figures[TwiceBits - 2].name;
  static constexpr std::size_t block_bytes = block_weights / 16 * TwiceBits;
  static constexpr float unit = Hash::figures[TwiceBits - 2].unit;
  static constexpr double gaussian_noise = Hash::figures[TwiceBits - 2].noise;

  static void encode(const BlockCodes& codes, std::byte* bytes) noexcept {
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t stream = 0; stream < Hash::streams; ++stream) {
        std::uint64_t buffer = 0;
        unsigned filled = 0;
        std::byte* place = bytes + position(row, stream);
        for (std::size_t step = 0; step < steps; ++step) {
          const unsigned bits = stream_bits(TwiceBits, step);
          buffer = (buffer << bits) | codes.at[row][step * Hash::streams + stream];
          filled += bits;
          if (filled < word_bits) continue;
          filled -= word_bits;
          const auto word = static_cast<typename Hash::Word>(buffer >> filled);
          for (unsigned b = 0; b < sizeof word; ++b) {
            place[b] = static_cast<std::byte>(word >> (8 * b));
          }
          place += 64;
        }
      }
    }
  }

  static void decode(const std::byte* bytes, StreamState& state, BlockValues& values) noexcept {
    state.enter(Hash::family);
    for (std::size_t row = 0; row < panel_rows; ++row) {
      for (std::size_t stream = 0; stream < Hash::streams; ++stream) {
        std::uint64_t buffer = state.windows[row][stream];
        unsigned ahead = 0;  // bits of the buffer that lie beyond the window
        const std::byte* place = bytes + position(row, stream);
        for (std::size_t step = 0; step < steps; ++step) {
          const unsigned bits = stream_bits(TwiceBits, step);
          if (ahead < bits) {
            buffer = (buffer << word_bits) | word_at(place);
            ahead += word_bits;
            place += 64;
          }
          ahead -= bits;
          values.at[row][step * Hash::streams + stream] =
              Hash::value(static_cast<std::uint16_t>(buffer >> ahead));
        }
        state.windows[row][stream] = static_cast<std::uint16_t>(buffer);
      }
    }
  }

 private:
  static constexpr std::size_t position(std::size_t row, std::size_t stream) noexcept {
    return 4 * row + 2 * stream;
  }
  static std::uint64_t word_at(const std::byte* place) noexcept {
    std::uint64_t word = 0;
    for (unsigned b = 0; b < sizeof(typename Hash::Word); ++b) {
      word |= std::to_integer<std::uint64_t>(place[b]) << (8 * b);
    }
    return word;
  }
};

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
