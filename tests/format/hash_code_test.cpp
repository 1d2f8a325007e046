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
using ns::StreamFamily;
using ns::StreamState;

namespace {

std::vector<const Format*> stream_formats() {
  std::vector<const Format*> formats;
  for (const Format& format : ns::format_table) {
    if (format.family != StreamFamily::none) formats.push_back(&format);
  }
  return formats;
}

std::size_t streams_of(const Format& format) {
  return format.family == StreamFamily::hash16 ? 2 : 1;
}

unsigned bits_at(const Format& format, std::size_t step) {
  return step % 2 == 0 ? format.twice_bits / 2 : (format.twice_bits + 1) / 2;
}

/// The sum of the masked bytes of window × multiplier, with 64-bit arithmetic.
int hash_value(StreamFamily family, std::uint64_t window) {
  const bool narrow = family == StreamFamily::hash16;
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
          static_cast<std::uint16_t>(random.below(1u << bits_at(format, k / streams_of(format))));
    }
  }
  return codes;
}

/// The streams as strings of bits, and their values by definition.
class PlainStreams {
 public:
  void restart() {
    for (auto& row : windows_) row[0] = row[1] = 0;
  }
  BlockValues values(const Format& format, const BlockCodes& codes) {
    BlockValues values;
    for (std::size_t row = 0; row < ns::panel_rows; ++row) {
      for (std::size_t k = 0; k < ns::block_channels; ++k) {
        std::uint64_t& window = windows_[row][k % streams_of(format)];
        const unsigned bits = bits_at(format, k / streams_of(format));
        window = ((window << bits) + codes.at[row][k]) % 65536;
        values.at[row][k] = static_cast<std::int16_t>(hash_value(format.family, window));
      }
    }
    return values;
  }

 private:
  std::uint64_t windows_[ns::panel_rows][2] = {};
};

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

TEST_CASE("hash codes: values are those of the windows, across blocks of one family") {
  const auto formats = stream_formats();
  REQUIRE(formats.size() == 14);
  for (const Format* first : formats) {
    for (const Format* second : formats) {
      if (first->family != second->family) continue;
      CAPTURE(first->name);
      CAPTURE(second->name);
      PlainStreams plain;
      StreamState state;
      BlockValues decoded;
      for (const Format* format : {first, second, first}) {
        const BlockCodes codes = random_codes(*format, format->twice_bits);
        format->decode(encoded(*format, codes).data(), state, decoded);
        CHECK(equal(decoded, plain.values(*format, codes)));
      }
    }
  }
}

TEST_CASE("hash codes: streams start anew after a block of another family") {
  const Format& narrow = ns::format_table[ns::format_index("b2_hash16")];
  const Format& wide = ns::format_table[ns::format_index("b2.5_hash32")];
  const Format& scalar = ns::format_table[ns::format_index("b3_l3")];
  StreamState state;
  BlockValues decoded;
  for (const Format* other : {&narrow, &scalar}) {
    for (const Format* format : {&wide, other, &wide}) {
      const BlockCodes codes = random_codes(wide, 9);
      const std::vector<std::byte> bytes = encoded(*format, codes);
      format->decode(bytes.data(), state, decoded);
      if (format == &wide) CHECK(equal(decoded, PlainStreams().values(wide, codes)));
    }
    state = {};
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
      {"b2_hash32", 0, 0, 0b11, 3, 0xc0},          // the highest bits of word 0
      {"b2_hash32", 5, 16, 0b10, 64 + 23, 0x80},   // channel 16 opens word 1
      {"b3_hash32", 1, 9, 0b101, 4, 0b10100},      // bits 27 … 29 from the top
      {"b1.5_hash32", 0, 1, 0b10, 3, 0b01000000},  // one bit before it
      {"b1_hash16", 2, 1, 1, 8 + 3, 0x80},         // the odd channels are the second stream
      {"b4_hash16", 15, 62, 0xf, 7 * 64 + 60, 0x0f},
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
