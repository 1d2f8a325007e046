#include <nash_swarm/format/formats.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/reference_weight.hpp"
#include "support/lcg.hpp"

namespace ns = nash_swarm;
using ns::BlockCodes;
using ns::BlockValues;
using ns::LinearCode;
using ns::PrunedCode;
using ns::RawCode;
using ns::ScalarCode;

#define ALL_FORMATS                                                                      \
  PrunedCode, ScalarCode<2>, ScalarCode<3>, ScalarCode<4>, LinearCode<5>, LinearCode<6>, \
      LinearCode<8>, RawCode

namespace {

static_assert(ns::BlockFormat<ScalarCode<2>> && !ns::BlockFormat<int>);

struct FormatWithoutDecode {
  static constexpr ns::FormatId id{1};
  static constexpr std::string_view name = "half a format";
  static constexpr std::size_t block_bytes = 1;
  static constexpr float unit = 1.0f;
  static constexpr double gaussian_noise = 1.0;
  static std::int16_t value(std::uint16_t) noexcept { return 0; }
  static std::uint16_t nearest(float) noexcept { return 0; }
  static void encode(const BlockCodes&, std::byte*) noexcept {}
};
static_assert(!ns::BlockFormat<FormatWithoutDecode>);

/// The codes that a format uses: −128 and −32768 are left out.
template <class F>
std::pair<unsigned, unsigned> code_range() {
  const unsigned bits = static_cast<unsigned>(F::id);
  return {bits >= 8 ? 1u : 0u, (1u << bits) - 1u};
}

template <class F>
BlockCodes random_codes(std::uint64_t seed) {
  const auto [first, last] = code_range<F>();
  support::Lcg random(seed);
  BlockCodes codes;
  for (auto& row : codes.at) {
    for (auto& code : row)
      code = static_cast<std::uint16_t>(first + random.below(last - first + 1));
  }
  return codes;
}

/// Distance of x from the value of a code, in units of the row's scale.
template <class F>
double distance(unsigned code, double x) {
  const double value = F::value(static_cast<std::uint16_t>(code));
  return std::fabs(value * static_cast<double>(F::unit) - x);
}

/// Smallest distance of x from any value: all codes are tried, or of the 16-bit format those whose
/// values lie around x.
template <class F>
double smallest_distance(double x) {
  auto [first, last] = code_range<F>();
  if (F::id == ns::FormatId{16}) {
    const double code = std::clamp(32768.0 + std::floor(x * 4096.0), 3.0, 65533.0);
    first = static_cast<unsigned>(code) - 2;
    last = static_cast<unsigned>(code) + 2;
  }
  double smallest = distance<F>(first, x);
  for (unsigned code = first; code <= last; ++code) {
    smallest = std::min(smallest, distance<F>(code, x));
  }
  return smallest;
}

template <unsigned Bits>
bool survives_packing() {
  support::Lcg random(Bits);
  BlockCodes codes;
  for (auto& row : codes.at) {
    for (auto& code : row) code = static_cast<std::uint16_t>(random.below(1u << Bits));
  }
  std::vector<std::byte> bytes(128 * Bits + 8, std::byte{0xa5});
  ns::pack_codes<Bits>(codes, bytes.data());
  const bool stayed_inside =
      std::all_of(bytes.end() - 8, bytes.end(), [](std::byte b) { return b == std::byte{0xa5}; });
  BlockCodes back;
  std::memset(&back, 0x5a, sizeof(back));
  for (std::size_t row = 0; row < ns::panel_rows; ++row) {
    ns::unpack_row<Bits>(bytes.data(), row, back.at[row]);
  }
  return stayed_inside && std::memcmp(&codes, &back, sizeof(codes)) == 0;
}

std::vector<std::byte> random_block(const ns::Format& format, support::Lcg& random) {
  std::vector<std::byte> bytes(format.block_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
  return bytes;
}

}  // namespace

TEST_CASE("codes: the format table is what files rely on") {
  struct Row {
    unsigned id;
    std::string_view name;
    std::size_t block_bytes;
  };
  const Row rows[] = {
      {0, "pruned", 0},           {2, "b2_l2", 256},          {3, "b3_l3", 384},
      {4, "b4_l4", 512},          {5, "linear5", 640},        {6, "linear6", 768},
      {8, "linear8", 1024},       {16, "raw16", 2048},        {0x21, "b1_l4", 128},
      {0x22, "b2_l4", 256},       {0x23, "b3_l4", 384},       {0x31, "b1_l6", 128},
      {0x32, "b2_l6", 256},       {0x33, "b3_l6", 384},       {0x34, "b4_l6", 512},
      {0x41, "b1_l8", 128},       {0x42, "b2_l8", 256},       {0x43, "b3_l8", 384},
      {0x44, "b4_l8", 512},       {0x71, "b1_l12", 128},
      {0x72, "b2_l12", 256},      {0x73, "b3_l12", 384},      {0x74, "b4_l12", 512},
      {0x52, "b1_hash16", 128},   {0x53, "b1.5_hash16", 192},
      {0x54, "b2_hash16", 256},   {0x55, "b2.5_hash16", 320}, {0x56, "b3_hash16", 384},
      {0x57, "b3.5_hash16", 448}, {0x58, "b4_hash16", 512},   {0x62, "b1_hash32", 128},
      {0x63, "b1.5_hash32", 192}, {0x64, "b2_hash32", 256},   {0x65, "b2.5_hash32", 320},
      {0x66, "b3_hash32", 384},   {0x67, "b3.5_hash32", 448}, {0x68, "b4_hash32", 512}};
  REQUIRE(ns::format_count == std::size(rows));
  std::set<unsigned> ids;
  std::set<std::string_view> names;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::size_t index = ns::format_index(static_cast<ns::FormatId>(row.id));
    REQUIRE(index < ns::format_count);
    const ns::Format& format = ns::format_table[index];
    CHECK(format.name == row.name);
    CHECK(format.block_bytes == row.block_bytes);
    CHECK(format.bits_per_weight() == static_cast<double>(row.block_bytes) / 128.0);
    CHECK((format.family == ns::WindowFamily::none) == (row.id < 0x20));
    CHECK(ns::format_index(row.name) == index);
    ids.insert(static_cast<unsigned>(format.id));
    names.insert(format.name);
  }
  CHECK(ids.size() == ns::format_count);
  CHECK(names.size() == ns::format_count);
}

TEST_CASE("codes: formats that do not exist are not found") {
  for (const unsigned id : {1u, 7u, 9u, 15u, 17u, 255u}) {
    CHECK(ns::format_index(static_cast<ns::FormatId>(id)) == ns::format_count);
  }
  CHECK(ns::format_index("") == ns::format_count);
  CHECK(ns::format_index("b2") == ns::format_count);
}

TEST_CASE("codes: every width survives packing") {
  CHECK(survives_packing<1>());
  CHECK(survives_packing<2>());
  CHECK(survives_packing<3>());
  CHECK(survives_packing<4>());
  CHECK(survives_packing<5>());
  CHECK(survives_packing<6>());
  CHECK(survives_packing<8>());
}

TEST_CASE("codes: a code lies in the documented bits") {
  struct Place {
    std::size_t byte;
    unsigned value;
  };
  struct Example {
    std::string_view format;
    std::size_t row;
    std::size_t channel;
    unsigned code;
    std::vector<Place> places;
  };
  const Example examples[] = {
      {"b2_l2", 3, 21, 0b10, {{64 + 14, 0b10 << 2}}},
      {"b2_l2", 0, 0, 0b11, {{0, 0b11}}},
      {"b3_l3", 15, 63, 0b101, {{192 + 63, 0b01 << 6}, {256 + 64 + 63, 1 << 7}}},
      {"b3_l3", 0, 9, 0b110, {{1, 0b10 << 2}, {256 + 1, 1 << 1}}},
      {"b4_l4", 1, 17, 0x9, {{6, 0x90}}},
      {"linear5", 2, 40, 0x1b, {{256 + 9, 0x0b}, {512 + 64 + 9, 0x01}}},
      {"linear6", 7, 34, 0x2c, {{320 + 28, 0x0c}, {512 + 128 + 28, 0x20}}},
      {"linear8", 9, 52, 200, {{768 + 38, 200}}},
      {"raw16", 4, 11, 32768 + 0x1234, {{320 + 18, 0x34}, {320 + 19, 0x12}}},
      {"raw16", 15, 62, 32768 - 2, {{31 * 64 + 60, 0xfe}, {31 * 64 + 61, 0xff}}},
  };
  for (const Example& example : examples) {
    CAPTURE(example.format);
    const ns::Format& format = ns::format_table[ns::format_index(example.format)];
    BlockCodes codes;
    for (auto& row : codes.at) {  // the code whose bits are all zero
      for (auto& code : row) code = example.format == "raw16" ? 32768 : 0;
    }
    codes.at[example.row][example.channel] = static_cast<std::uint16_t>(example.code);
    std::vector<std::byte> expected(format.block_bytes);
    for (const Place& place : example.places) expected[place.byte] = std::byte(place.value);
    std::vector<std::byte> bytes(format.block_bytes, std::byte{0xff});
    format.encode(codes, bytes.data());
    CHECK(bytes == expected);
  }
}

TEST_CASE_TEMPLATE("codes: decoding what was encoded gives the values of the codes", F,
                   ALL_FORMATS) {
  const BlockCodes codes = random_codes<F>(11);
  std::vector<std::byte> bytes(F::block_bytes + 8, std::byte{0xa5});
  F::encode(codes, bytes.data());
  BlockValues values;
  std::memset(&values, 0x5a, sizeof(values));
  ns::decode_block<F>(bytes.data(), values);
  int wrong = 0;
  for (std::size_t row = 0; row < ns::panel_rows; ++row) {
    for (std::size_t k = 0; k < ns::block_channels; ++k) {
      wrong += values.at[row][k] == F::value(codes.at[row][k]) ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
  CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0xa5}) >= 8);
}

TEST_CASE("codes: random bytes decode to what the plain reading of the layout says") {
  support::Lcg random(5);
  for (const ns::Format& format : ns::format_table) {
    CAPTURE(format.name);
    const std::vector<std::byte> bytes = random_block(format, random);
    BlockValues values;
    format.decode(bytes.data(), values);
    const auto id = static_cast<unsigned>(format.id);
    CHECK(reference::block_bytes(id) == format.block_bytes);
    const reference::BlockIntegers expected = reference::integers_of(id, bytes.data());
    int wrong = 0;
    for (std::size_t row = 0; row < ns::panel_rows; ++row) {
      for (std::size_t k = 0; k < ns::block_channels; ++k) {
        wrong += values.at[row][k] == expected[row][k] ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("codes: rows decode to what they are in their block") {
  support::Lcg random(6);
  for (const ns::Format& format : ns::format_table) {
    CAPTURE(format.name);
    const std::vector<std::byte> bytes = random_block(format, random);
    BlockValues block;
    format.decode(bytes.data(), block);
    int wrong = 0;
    for (std::size_t first = 0; first < ns::panel_rows; ++first) {
      for (std::size_t count = 1; first + count <= ns::panel_rows; ++count) {
        BlockValues rows;
        format.decode_rows(bytes.data(), first, count, rows.at);
        wrong += std::memcmp(rows.at, block.at[first], count * sizeof rows.at[0]) == 0 ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE_TEMPLATE("codes: nearest finds the nearest value", F, ALL_FORMATS) {
  const auto [first, last] = code_range<F>();
  support::Lcg random(3);
  int wrong = 0;
  for (int i = 0; i < 40'000; ++i) {
    const float x = i < 20'000 ? static_cast<float>(i - 10'000) * 5e-4f : 1.25f * random.real();
    const unsigned code = F::nearest(x);
    // x divided by the unit is rounded to float: next to a boundary either side will do.
    const double tolerance = 2e-7 * (std::fabs(static_cast<double>(x)) + F::unit);
    const bool right = code >= first && code <= last &&
                       distance<F>(code, static_cast<double>(x)) <=
                           smallest_distance<F>(static_cast<double>(x)) + tolerance;
    wrong += right ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("codes: nearest gives every code back and stays in range", F, ALL_FORMATS) {
  const auto [first, last] = code_range<F>();
  int wrong = 0;
  for (unsigned code = first; code <= last; ++code) {
    const float x = F::unit * static_cast<float>(F::value(static_cast<std::uint16_t>(code)));
    wrong += F::nearest(x) == code ? 0 : 1;
  }
  CHECK(wrong == 0);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(F::nearest(infinity) == last);
  CHECK(F::nearest(1e30f) == last);
  CHECK(F::nearest(-infinity) == first);
  CHECK(F::nearest(-1e30f) == first);
  const unsigned of_nan = F::nearest(std::numeric_limits<float>::quiet_NaN());
  CHECK(of_nan >= first);
  CHECK(of_nan <= last);
}

TEST_CASE("codes: linear values are the code less half the range") {
  CHECK(LinearCode<5>::value(0) == -16);
  CHECK(LinearCode<5>::value(31) == 15);
  CHECK(LinearCode<6>::value(0) == -32);
  CHECK(LinearCode<6>::value(63) == 31);
  CHECK(LinearCode<8>::value(1) == -127);
  CHECK(LinearCode<8>::value(255) == 127);
  CHECK(LinearCode<8>::value(LinearCode<8>::nearest(-1e9f)) == -127);
  CHECK(RawCode::value(RawCode::nearest(-1e9f)) == -32767);
  CHECK(RawCode::value(RawCode::nearest(1.0f)) == 4096);
}
