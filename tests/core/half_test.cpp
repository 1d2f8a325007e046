#include <nash_swarm/core/half.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "support/lcg.hpp"

using nash_swarm::BFloat16;
using nash_swarm::Half;
using nash_swarm::to_bfloat16;
using nash_swarm::to_float;
using nash_swarm::to_half;

namespace {

static_assert(to_float(Half{0x3c00}) == 1.0f && to_half(1.0f) == Half{0x3c00});
static_assert(to_float(BFloat16{0x3f80}) == 1.0f && to_bfloat16(1.0f) == BFloat16{0x3f80});

/// A 16-bit floating-point type by its definition in IEEE 754: `exponent_bits` of exponent, the
/// rest mantissa. Values are double, in which all of them are exact.
struct Definition {
  int exponent_bits;
  int mantissa_bits;

  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  unsigned infinity() const { return ((1u << exponent_bits) - 1u) << mantissa_bits; }

  /// Value of a positive code; that of infinity is where the next binade would start, which is
  /// where the rounding of IEEE 754 sees it.
  double value(unsigned code) const {
    const int exponent = static_cast<int>(code >> mantissa_bits);
    const double mantissa = code & ((1u << mantissa_bits) - 1u);
    if (exponent == 0) return std::ldexp(mantissa, 1 - bias() - mantissa_bits);
    return std::ldexp(mantissa + std::ldexp(1.0, mantissa_bits), exponent - bias() - mantissa_bits);
  }

  /// The code nearest to a positive x, ties to the even code, found among all values.
  unsigned nearest(double x) const {
    unsigned low = 0;
    unsigned high = infinity();
    if (x >= value(high)) return high;
    while (high - low > 1) {
      const unsigned middle = (low + high) / 2;
      (value(middle) <= x ? low : high) = middle;
    }
    const double below = x - value(low);
    const double above = value(high) - x;
    if (below != above) return below < above ? low : high;
    return low % 2 == 0 ? low : high;
  }
};

constexpr Definition half_definition{5, 10};
constexpr Definition bfloat16_definition{8, 7};

template <class T>
const Definition& definition() {
  return std::is_same_v<T, Half> ? half_definition : bfloat16_definition;
}

template <class T>
T convert(float value) {
  if constexpr (std::is_same_v<T, Half>) {
    return to_half(value);
  } else {
    return to_bfloat16(value);
  }
}

std::uint32_t bits_of(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

}  // namespace

TEST_CASE_TEMPLATE("half: all 65536 values have the value of the definition", T, Half, BFloat16) {
  const Definition& type = definition<T>();
  int wrong = 0;
  for (unsigned code = 0; code < 65536; ++code) {
    const float value = to_float(T{static_cast<std::uint16_t>(code)});
    const unsigned magnitude = code & 0x7fffu;
    bool right = std::signbit(value) == (code >= 0x8000u);
    if (magnitude < type.infinity()) {
      right = right && std::fabs(static_cast<double>(value)) == type.value(magnitude);
    } else if (magnitude == type.infinity()) {
      right = right && std::isinf(value);
    } else {
      right = right && std::isnan(value);
    }
    wrong += right ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: all 65536 values come back from float", T, Half, BFloat16) {
  const Definition& type = definition<T>();
  const unsigned quiet = 1u << (type.mantissa_bits - 1);
  int wrong = 0;
  for (unsigned code = 0; code < 65536; ++code) {
    const unsigned back = convert<T>(to_float(T{static_cast<std::uint16_t>(code)})).bits;
    const bool nan = (code & 0x7fffu) > type.infinity();
    // NaN keeps its sign and payload and becomes quiet.
    wrong += back == (nan ? code | quiet : code) ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: halfway between neighbours the even one wins", T, Half, BFloat16) {
  const Definition& type = definition<T>();
  const float infinity = std::numeric_limits<float>::infinity();
  int wrong = 0;
  for (unsigned code = 0; code < type.infinity(); ++code) {
    const double exact = (type.value(code) + type.value(code + 1)) / 2;
    const float middle = static_cast<float>(exact);
    const unsigned even = code % 2 == 0 ? code : code + 1;
    const bool right =
        static_cast<double>(middle) == exact && convert<T>(middle).bits == even &&
        convert<T>(-middle).bits == (even | 0x8000u) &&
        convert<T>(std::nextafter(middle, 0.0f)).bits == code &&
        convert<T>(std::nextafter(middle, infinity)).bits == code + 1 &&
        convert<T>(std::nextafter(-middle, 0.0f)).bits == (code | 0x8000u) &&
        convert<T>(std::nextafter(-middle, -infinity)).bits == ((code + 1) | 0x8000u);
    wrong += right ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: any float goes to the nearest value", T, Half, BFloat16) {
  const Definition& type = definition<T>();
  support::Lcg random(1);
  int wrong = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::uint32_t bits = random.next();
    if (i % 2 == 0) {  // around the range of binary16, where most patterns are not
      bits = (bits & 0x807fffffu) | ((100 + random.below(46)) << 23);
    }
    const float value = std::bit_cast<float>(bits);
    if (std::isnan(value)) continue;
    const unsigned expected =
        type.nearest(std::fabs(static_cast<double>(value))) | (std::signbit(value) ? 0x8000u : 0u);
    wrong += convert<T>(value).bits == expected ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("half: the ends of the range of binary16") {
  CHECK(to_half(65504.0f).bits == 0x7bff);
  CHECK(to_half(65519.996f).bits == 0x7bff);
  CHECK(to_half(65520.0f).bits == 0x7c00);
  CHECK(to_half(-1e30f).bits == 0xfc00);
  CHECK(to_half(std::numeric_limits<float>::infinity()).bits == 0x7c00);
  CHECK(to_half(0x1p-14f).bits == 0x0400);
  CHECK(to_half(0x1p-24f).bits == 0x0001);
  CHECK(to_half(0x1p-25f).bits == 0x0000);
  CHECK(to_half(0x1.000002p-25f).bits == 0x0001);
  CHECK(to_half(std::numeric_limits<float>::denorm_min()).bits == 0x0000);
  CHECK(to_half(-0.0f).bits == 0x8000);
  CHECK(bits_of(to_float(Half{0x8000})) == 0x80000000u);
  CHECK(to_float(Half{0x0001}) == 0x1p-24f);
  CHECK(to_float(Half{0x03ff}) == 0x3ffp-24f);
}

TEST_CASE("half: the ends of the range of bfloat16") {
  CHECK(to_bfloat16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(to_bfloat16(std::bit_cast<float>(0x7f7f7fffu)).bits == 0x7f7f);
  CHECK(to_bfloat16(-std::numeric_limits<float>::infinity()).bits == 0xff80);
  CHECK(to_bfloat16(-0.0f).bits == 0x8000);
  CHECK(to_bfloat16(std::bit_cast<float>(0x00008000u)).bits == 0x0000);
  CHECK(to_bfloat16(std::bit_cast<float>(0x00008001u)).bits == 0x0001);
}

TEST_CASE("half: NaN stays NaN even where its upper bits are zero") {
  for (const std::uint32_t bits : {0x7f800001u, 0xff800001u, 0x7fc00000u, 0x7fffffffu}) {
    const float nan = std::bit_cast<float>(bits);
    CHECK(std::isnan(to_float(to_half(nan))));
    CHECK(std::isnan(to_float(to_bfloat16(nan))));
    CHECK((to_half(nan).bits & 0x8000u) == (bits >> 16 & 0x8000u));
    CHECK((to_bfloat16(nan).bits & 0x0040u) != 0);
  }
}
