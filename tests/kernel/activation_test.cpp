#include <nash_swarm/kernel/activation.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>

#include "kernel/reference_product.hpp"
#include "support/instruction_sets.hpp"
#include "support/lcg.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

using nash_swarm::ActivationBits;
using nash_swarm::Activations;
using nash_swarm::InputBasis;
using nash_swarm::TensorView;
using support::random_inputs;
using support::serial;

namespace {

Activations quantize(const InputBasis& basis, const std::vector<float>& x,
                     ActivationBits bits = ActivationBits::eight) {
  const TensorView<const float, 2> view{x.data(),
                                        {x.size() / basis.in_features(), basis.in_features()}};
  return quantize_activations(basis, view, serial, bits);
}

std::size_t scale_count(const Activations& x) {
  return x.channels() / x.scale_block();
}

bool equal_rows(const Activations& a, const Activations& b, std::size_t row) {
  for (std::size_t channel = 0; channel < a.channels(); ++channel) {
    if (a.code(row, channel) != b.code(row, channel)) return false;
  }
  for (std::size_t block = 0; block < a.channels() / 64; ++block) {
    if (a.block_sum(row, block) != b.block_sum(row, block)) return false;
  }
  for (std::size_t i = 0; i < scale_count(a); ++i) {
    const float own[] = {a.scale(row, i), b.scale(row, i)};
    if (std::memcmp(&own[0], &own[1], sizeof own[0]) != 0) return false;
  }
  const std::int8_t* pairs_a = a.group(row).pairs;
  const std::int8_t* pairs_b = b.group(row).pairs;
  return pairs_a == nullptr || pairs_b == nullptr ||
         std::memcmp(pairs_a, pairs_b, 2 * a.channels()) == 0;
}

bool equal_tokens(const Activations& a, const Activations& b, std::size_t token) {
  bool equal = a.rows_per_token() == b.rows_per_token();
  for (std::size_t digit = 0; digit < a.rows_per_token(); ++digit) {
    equal = equal && equal_rows(a, b, token * a.rows_per_token() + digit);
  }
  return equal;
}

std::size_t zero_codes(const Activations& x, std::size_t token) {
  std::size_t count = 0;
  for (std::size_t k = 0; k < x.channels(); ++k) count += x.code(token, k) == 0 ? 1u : 0u;
  return count;
}

}  // namespace

TEST_CASE("activation: every value is within half a step of the rotated input") {
  struct Shape {
    std::size_t channels;
    std::size_t rotation;
    bool permuted;
  };
  const Shape shapes[] = {{64, 0, false},    {65, 0, true},    {65, 128, true}, {130, 64, false},
                          {256, 128, false}, {256, 256, true}, {1, 64, false}};
  for (const Shape& shape : shapes) {
    CAPTURE(shape.channels);
    CAPTURE(shape.rotation);
    const auto basis = support::make_basis(shape.channels, shape.rotation, shape.permuted);
    const std::size_t tokens = 11;
    const std::vector<float> x = random_inputs(1, tokens * shape.channels, 5);
    const Activations activations = quantize(*basis, x);
    CHECK(activations.tokens() == tokens);
    CHECK(activations.channels() == basis->padded_features());
    CHECK(activations.scale_block() == (shape.rotation == 0 ? 64 : shape.rotation));
    const reference::Dense map = reference::rotation(*basis);
    const reference::Dense values = reference::activation_values(activations);
    const Activations wide = quantize(*basis, x, ActivationBits::sixteen);
    const reference::Dense wide_values = reference::activation_values(wide);
    int wrong = 0;
    int wide_wrong = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t j = 0; j < map.columns; ++j) {
        double exact = 0;
        for (std::size_t i = 0; i < map.rows; ++i) {
          exact += static_cast<double>(x[t * map.rows + i]) * map.at(i, j);
        }
        const double step =
            static_cast<double>(activations.scale(t, j / activations.scale_block()));
        wrong += std::fabs(values.at(t, j) - exact) <= 0.5001 * step ? 0 : 1;
        const double fine_step = static_cast<double>(wide.scale(2 * t + 1, j / wide.scale_block()));
        CHECK(fine_step == doctest::Approx(step / 255));
        wide_wrong += std::fabs(wide_values.at(t, j) - exact) <= 0.51 * fine_step ? 0 : 1;
      }
    }
    CHECK(wrong == 0);
    CHECK(wide_wrong == 0);
  }
}

TEST_CASE("activation: codes lie by lanes, 16 rows side by side, and by pairs of tiles if alone") {
  const auto basis = support::make_basis(256, 0, false);
  REQUIRE(basis->scale_block() == 64);
  for (const std::size_t tokens : {1u, 2u, 3u, 16u, 17u, 35u}) {
    CAPTURE(tokens);
    const std::vector<float> inputs = random_inputs(1, tokens * 256, 8);
    const Activations x = quantize(*basis, inputs);
    int wrong = 0;
    for (std::size_t t = 0; t < tokens; ++t) {
      const auto group = x.group(t);
      wrong += group.rows == std::min<std::size_t>(16, tokens - t / 16 * 16) ? 0 : 1;
      wrong += (group.pairs != nullptr) == (group.rows == 1) ? 0 : 1;
      wrong += group.scales[1 * group.rows + t % 16] == x.scale(t, 1) ? 0 : 1;
      const auto sum_before = [&](std::size_t block) {
        return static_cast<std::int32_t>(group.sums_before[block * group.rows + t % 16]);
      };
      int sum = 0;
      for (std::size_t k = 0; k < 64; ++k) sum += x.code(t, k);
      wrong += sum_before(0) == 0 && sum_before(1) == sum ? 0 : 1;
      sum = 0;
      for (std::size_t k = 64; k < 128; ++k) {
        const float exact = inputs[t * 256 + k] / x.scale(t, 1);
        const int code = x.code(t, k);
        sum += code;
        wrong += std::fabs(exact - static_cast<float>(code)) < 0.501f ? 0 : 1;
        const std::size_t vector = k / 32 * 8 + k % 8;
        wrong += group.lanes[(vector * group.rows + t % 16) * 4 + k / 8 % 4] == code ? 0 : 1;
        for (std::size_t copy = 0; group.rows == 1 && copy < 2; ++copy) {
          wrong += group.pairs[k / 16 * 32 + k % 8 * 4 + k / 8 % 2 * 2 + copy] == code ? 0 : 1;
        }
      }
      wrong += x.block_sum(t, 1) == sum && sum_before(2) == sum_before(1) + sum ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("activation: every instruction set gives the same bits") {
  for (const std::size_t rotation : {0u, 64u, 128u, 256u}) {
    const auto basis = support::make_basis(1000, rotation, rotation == 128);
    std::vector<float> x = random_inputs(1, 6 * 1000, 31);
    for (std::size_t k = 0; k < 1000; ++k) x[1000 + k] *= 0x1p-140f;
    x[2 * 1000 + 999] = std::numeric_limits<float>::quiet_NaN();
    std::fill_n(x.begin() + 3 * 1000, 1000, 0.0f);
    const TensorView<const float, 2> view{x.data(), {6, 1000}};
    const TensorView<const float, 2> first{x.data(), {1, 1000}};
    for (const auto bits : {ActivationBits::eight, ActivationBits::sixteen}) {
      const Activations expected =
          quantize_activations(*basis, view, serial, bits, nash_swarm::InstructionSet::portable);
      const Activations expected_alone =
          quantize_activations(*basis, first, serial, bits, nash_swarm::InstructionSet::portable);
      for (const nash_swarm::InstructionSet set : support::supported_instruction_sets()) {
        CAPTURE(static_cast<int>(set));
        const Activations same = quantize_activations(*basis, view, serial, bits, set);
        for (std::size_t t = 0; t < 6; ++t) CHECK(equal_tokens(same, expected, t));
        const Activations alone = quantize_activations(*basis, first, serial, bits, set);
        CHECK(equal_tokens(alone, expected_alone, 0));
        CHECK(equal_tokens(alone, expected, 0));
      }
    }
  }
}

TEST_CASE("activation: two digits hold every integer of 16 bits") {
  const InputBasis basis("basis", 64, 0, 0);
  std::vector<float> x;
  for (int integer = -32385; integer <= 32385; ++integer) {
    if (x.size() % 64 == 0) x.push_back(32385.0f);  // makes the factor 1
    x.push_back(static_cast<float>(integer));
  }
  x.resize((x.size() + 63) / 64 * 64);
  for (const nash_swarm::InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    const Activations activations =
        quantize_activations(basis, TensorView<const float, 2>{x.data(), {x.size() / 64, 64}},
                             serial, ActivationBits::sixteen, set);
    int wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const int high = activations.code(i / 64 * 2, i % 64);
      const int low = activations.code(i / 64 * 2 + 1, i % 64);
      const bool fits = std::abs(high) <= 127 && std::abs(low) <= 127;
      wrong += fits && 255 * high + low == static_cast<int>(x[i]) ? 0 : 1;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("activation: codes reach 127 in every block and never leave -127 to 127") {
  const auto basis = support::make_basis(512, 128, false);
  const Activations x = quantize(*basis, random_inputs(1, 40 * 512, 6));
  for (std::size_t t = 0; t < x.tokens(); ++t) {
    for (std::size_t b = 0; b < scale_count(x); ++b) {
      int largest = 0;
      int smallest = 0;
      for (std::size_t k = 0; k < x.scale_block(); ++k) {
        const int code = x.code(t, b * x.scale_block() + k);
        largest = std::max(largest, std::abs(code));
        smallest = std::min(smallest, code);
      }
      CHECK(largest == 127);
      CHECK(smallest >= -127);
    }
  }
}

TEST_CASE("activation: the largest magnitude becomes 127 whatever the rounding of its inverse") {
  const InputBasis basis("basis", 64, 0, 0);
  support::Lcg random(77);
  std::vector<float> x(64 * 500);
  for (std::size_t t = 0; t < 500; ++t) {
    const float largest = std::ldexp(1.0f + static_cast<float>(random.next() >> 9) * 0x1p-23f,
                                     static_cast<int>(random.below(200)) - 100);
    x[64 * t + 3] = -largest;
    x[64 * t + 4] = largest;
    x[64 * t + 5] = std::nextafter(-largest, 0.0f);
  }
  const Activations activations = quantize(basis, x);
  int wrong = 0;
  for (std::size_t t = 0; t < 500; ++t) {
    const auto code = [&](std::size_t channel) { return int{activations.code(t, channel)}; };
    wrong += code(3) == -127 && code(4) == 127 && code(5) == -127 && code(6) == 0 ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("activation: halves go to the even code") {
  const InputBasis basis("basis", 64, 0, 0);
  std::vector<float> x(64);
  const std::vector<std::pair<float, int>> examples = {
      {127.0f, 127}, {0.5f, 0},   {-0.5f, 0},    {1.5f, 2},  {-1.5f, -2},
      {2.5f, 2},     {-2.5f, -2}, {126.5f, 126}, {0.25f, 0}, {-125.75f, -126}};
  for (std::size_t i = 0; i < examples.size(); ++i) x[i] = examples[i].first;
  const Activations activations = quantize(basis, x);
  CHECK(activations.scale(0, 0) == 1.0f);
  for (std::size_t i = 0; i < examples.size(); ++i) {
    CHECK(int{activations.code(0, i)} == examples[i].second);
  }
}

TEST_CASE("activation: blocks have scales of their own") {
  const InputBasis basis("basis", 192, 0, 0);
  std::vector<float> x(192);
  x[10] = 127.0f;
  x[70] = -254.0f;
  const Activations activations = quantize(basis, x);
  CHECK(activations.scale(0, 0) == 1.0f);
  CHECK(activations.scale(0, 1) == 2.0f);
  CHECK(activations.scale(0, 2) == 0.0f);
  CHECK(int{activations.code(0, 70)} == -127);
}

TEST_CASE("activation: a token that is not finite has NaN scales and disturbs no other") {
  for (const std::size_t rotation : {0u, 64u}) {
    const auto basis = support::make_basis(64, rotation, true);
    const std::vector<float> good = random_inputs(1, 5 * 64, 9);
    std::vector<float> bad = good;
    bad[64 + 7] = std::numeric_limits<float>::quiet_NaN();
    bad[2 * 64 + 63] = std::numeric_limits<float>::infinity();
    bad[3 * 64] = -std::numeric_limits<float>::infinity();
    for (const auto bits : {ActivationBits::eight, ActivationBits::sixteen}) {
      const Activations x = quantize(*basis, bad, bits);
      const Activations expected = quantize(*basis, good, bits);
      const std::size_t rows = x.rows_per_token();
      for (std::size_t row = rows; row < 4 * rows; ++row) CHECK(std::isnan(x.scale(row, 0)));
      CHECK(equal_tokens(x, expected, 0));
      CHECK(equal_tokens(x, expected, 4));
    }
  }
}

TEST_CASE("activation: zero and denormal tokens become zero or stay close") {
  const auto basis = support::make_basis(64, 64, false);
  std::vector<float> x(4 * 64);
  x[64] = std::numeric_limits<float>::denorm_min();
  x[2 * 64 + 5] = 1e-38f;
  for (std::size_t k = 0; k < 64; ++k) x[3 * 64 + k] = 1e-30f * static_cast<float>(k);
  const Activations activations = quantize(*basis, x);
  for (std::size_t token = 0; token < 3; ++token) {
    CHECK(activations.scale(token, 0) == 0.0f);
    CHECK(zero_codes(activations, token) == 64);
  }
  CHECK(activations.scale(3, 0) > 0.0f);
  CHECK(zero_codes(activations, 3) < 64);
}

TEST_CASE("activation: strided inputs are read in place") {
  const auto basis = support::make_basis(65, 128, true);
  const std::size_t tokens = 9;
  const std::vector<float> dense = random_inputs(1, tokens * 65, 12);
  std::vector<float> memory(65 * tokens);
  const TensorView<float, 2> columns =
      TensorView<float, 2>{memory.data(), {65, tokens}}.transposed();
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t k = 0; k < 65; ++k) columns(t, k) = dense[t * 65 + k];
  }
  const Activations strided = quantize_activations(*basis, columns, serial);
  const Activations expected = quantize(*basis, dense);
  for (std::size_t t = 0; t < tokens; ++t) CHECK(equal_tokens(strided, expected, t));
}

TEST_CASE("activation: any number of threads gives the same bits") {
  const auto basis = support::make_basis(200, 256, true);
  const std::size_t tokens = 33;
  const std::vector<float> x = random_inputs(1, tokens * 200, 13);
  const Activations expected = quantize(*basis, x, ActivationBits::sixteen);
  for (const std::size_t threads : {1u, 2u, 3u}) {
    nash_swarm::ThreadPool pool(threads);
    const Activations same = quantize_activations(
        *basis, TensorView<const float, 2>{x.data(), {tokens, 200}}, pool, ActivationBits::sixteen);
    for (std::size_t t = 0; t < tokens; ++t) CHECK(equal_tokens(same, expected, t));
  }
}

TEST_CASE("activation: no tokens and wrong shapes") {
  const auto basis = support::make_basis(64, 0, false);
  CHECK(quantize(*basis, {}).tokens() == 0);
  const std::vector<float> x(2 * 65);
  CHECK_THROWS_WITH_AS(
      quantize_activations(*basis, TensorView<const float, 2>{x.data(), {2, 65}}, serial),
      "basis: input of 65 channels for a basis of 64; pass x as [tokens, in_features]",
      nash_swarm::Error);
}

TEST_CASE("activation: sizes that overflow are refused") {
  const auto basis = support::make_basis(65, 128, false);
  CHECK_THROWS_AS(nash_swarm::Activations(std::size_t{1} << 57, *basis), nash_swarm::Error);
  CHECK_THROWS_AS(nash_swarm::Activations(~std::size_t{0}, *basis), nash_swarm::Error);
  const std::size_t most = ~std::size_t{0} / 3 / 128;
  CHECK_THROWS_AS(nash_swarm::Activations(most, *basis, ActivationBits::sixteen),
                  nash_swarm::Error);
  // Codes, sums and scales take 76 bytes a token, and a token that is alone 128 more.
  const auto narrow = support::make_basis(64, 0, false);
  CHECK_THROWS_WITH_AS(nash_swarm::Activations(std::size_t{1} << 57, *narrow),
                       "activations: 144115188075855872 tokens of 64 channels overflow",
                       nash_swarm::Error);
  const std::size_t fitting = ((std::size_t{1} << 63) - 129) / 76;
  const auto bytes = [&](std::size_t tokens, ActivationBits bits) {
    return nash_swarm::Activations::bytes_of(tokens, *narrow, bits);
  };
  REQUIRE(bytes(fitting, ActivationBits::eight));
  CHECK(*bytes(fitting, ActivationBits::eight) == fitting * 76 + (fitting % 16 == 1 ? 128 : 0));
  CHECK(*bytes(1, ActivationBits::eight) == 204);
  CHECK(*bytes(33, ActivationBits::eight) == 33 * 76 + 128);
  CHECK(*bytes(1, ActivationBits::sixteen) == 152);
  CHECK(!bytes(fitting + 1, ActivationBits::eight));
  REQUIRE(bytes(fitting / 2, ActivationBits::sixteen));
  CHECK(*bytes(fitting / 2, ActivationBits::sixteen) == fitting / 2 * 152);
  CHECK(!bytes(fitting / 2 + 1, ActivationBits::sixteen));
}
