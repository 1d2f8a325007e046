#include <nash_swarm/format/hash_code.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <nash_swarm/format/formats.hpp>

#include "support/lcg.hpp"

namespace ns = nash_swarm;
using ns::BlockCodes;
using ns::BlockValues;
using ns::Format;
using ns::WindowFamily;

namespace {

std::vector<const Format*> hash_formats() {
  std::vector<const Format*> formats;
  for (const Format& format : ns::format_table) {
    if (format.family == WindowFamily::hash16 || format.family == WindowFamily::hash32) {
      formats.push_back(&format);
    }
  }
  return formats;
}

unsigned bits_at(const Format& format, std::size_t step) {
  return step % 2 == 0 ? format.twice_bits / 2 : (format.twice_bits + 1) / 2;
}

/// The sum of the masked bytes of window × multiplier, with 64-bit arithmetic.
int hash_value(WindowFamily family, std::uint64_t window) {
  const bool narrow = family == WindowFamily::hash16;
  const std::uint64_t product = window * (narrow ? ns::Hash16::multiplier : ns::Hash32::multiplier);
  int sum = narrow ? -127 : -126;
  for (unsigned byte = 0; byte < (narrow ? 2u : 4u); ++byte) {
    sum += static_cast<int>((product >> (8 * byte)) & (narrow ? 0x7fu : 0x3fu));
  }
  return sum;
}

BlockCodes random_codes(const Format& format, std::uint64_t seed) {
  support::Lcg random(seed);
  BlockCodes codes;
  for (auto& row : codes.at) {
    for (std::size_t k = 0; k < ns::block_channels; ++k) {
      row[k] =
          static_cast<std::uint16_t>(random.below(1u << bits_at(format, k)));
    }
  }
  return codes;
}

/// The streams as strings of bits, and their values by definition: a window is the last 16 bits of
/// its tile's ring.
BlockValues plain_values(const Format& format, const BlockCodes& codes) {
  BlockValues values;
  for (std::size_t tile = 0; tile < 8; ++tile) {
    std::string ring;
    std::vector<std::size_t> ends;
    for (std::size_t row = 0; row < 16; ++row) {
      for (std::size_t k = 0; k < 8; ++k) {
        for (unsigned bit = bits_at(format, k); bit-- > 0;) {
          ring += (codes.at[row][8 * tile + k] >> bit) % 2 == 0 ? '0' : '1';
        }
        ends.push_back(ring.size());
      }
    }
    for (std::size_t i = 0; i < ends.size(); ++i) {
      std::uint64_t window = 0;
      for (std::size_t bit = 0; bit < 16; ++bit) {
        window = 2 * window + (ring[(ends[i] + ring.size() - 16 + bit) % ring.size()] == '1');
      }
      values.at[i / 8][8 * tile + i % 8] =
          static_cast<std::int16_t>(hash_value(format.family, window));
    }
  }
  return values;
}

std::vector<std::byte> encoded(const Format& format, const BlockCodes& codes) {
  std::vector<std::byte> bytes(format.block_bytes + 8, std::byte{0xa5});
  format.encode(codes, bytes.data());
  for (std::size_t i = format.block_bytes; i < bytes.size(); ++i) {
    CHECK(bytes[i] == std::byte{0xa5});
  }
  return bytes;
}

bool equal(const BlockValues& a, const BlockValues& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

}  // namespace

TEST_CASE("hash codes: values are those of the windows") {
  const auto formats = hash_formats();
  REQUIRE(formats.size() == 14);
  for (const Format* format : formats) {
    CAPTURE(format->name);
    const BlockCodes codes = random_codes(*format, format->twice_bits);
    BlockValues decoded;
    format->decode(encoded(*format, codes).data(), decoded);
    CHECK(equal(decoded, plain_values(*format, codes)));
  }
}

TEST_CASE("hash codes: a code lies in the documented bits") {
  struct Example {
    std::string format;
    std::size_t row;
    std::size_t channel;
    unsigned code;
    std::size_t byte;
    unsigned value;
  };
  const Example examples[] = {
      {"b2_hash32", 0, 0, 0b11, 1, 0xc0},               // the highest bits of word 0
      {"b2_hash32", 5, 16, 0b10, 64 + 21, 0x80},        // the second pair of tiles opens word 1
      {"b2_hash16", 5, 8, 0b10, 20 + 3, 0x80},          // the second tile of a pair: upper half
      {"b3_hash32", 1, 4, 0b101, 4, 0b1010},            // bits 12 … 14 of 16 from the top
      {"b3_hash32", 1, 5, 0b001, 64 + 5, 0b01000000},   // bits 15 … 17: the last in word 1
      {"b1.5_hash32", 0, 1, 0b10, 1, 0b01000000},       // one bit before it
      {"b4_hash16", 15, 63, 0xf, 7 * 64 + 62, 0x0f},
  };
  for (const Example& example : examples) {
    CAPTURE(example.format);
    const Format& format = ns::format_table[ns::format_index(example.format)];
    BlockCodes codes{};
    codes.at[example.row][example.channel] = static_cast<std::uint16_t>(example.code);
    std::vector<std::byte> expected(format.block_bytes);
    expected[example.byte] = static_cast<std::byte>(example.value);
    std::vector<std::byte> bytes(format.block_bytes, std::byte{0xff});
    format.encode(codes, bytes.data());
    CHECK(bytes == expected);
  }
}
