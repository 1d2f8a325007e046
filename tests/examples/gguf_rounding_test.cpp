#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <span>
#include <string_view>
#include <vector>

#include "gguf/block_rounding.hpp"

namespace {

using gguf::block_scheme;
using gguf::BlockScheme;
using gguf::round_row;

/// Squared error relative to squared weights, each times its importance.
double relative_error(std::span<const float> weights, std::span<const float> rounded,
                      std::span<const float> importance) {
  double error = 0.0;
  double square = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double own =
        importance.empty() ? 1.0 : static_cast<double>(importance[i % importance.size()]);
    const double difference = static_cast<double>(rounded[i]) - static_cast<double>(weights[i]);
    error += own * difference * difference;
    square += own * static_cast<double>(weights[i]) * static_cast<double>(weights[i]);
  }
  return error / square;
}

std::vector<float> rounded_rows(const BlockScheme& scheme, std::span<const float> weights,
                                std::size_t in, std::span<const float> importance) {
  std::vector<float> rounded(weights.size());
  for (std::size_t begin = 0; begin < weights.size(); begin += in) {
    round_row(scheme, weights.subspan(begin, in), importance,
              std::span(rounded).subspan(begin, in));
  }
  return rounded;
}

std::vector<float> gaussian_weights(std::size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> weights(count);
  for (float& weight : weights) weight = 0.02f * normal(random);
  return weights;
}

}  // namespace

TEST_CASE("rounding to GGUF types errs as much as ggml does") {
  // Measured with ggml d99724f (ggml_quantize_chunk, and back) on 256 rows of 1024 Gaussian
  // weights, without importance and, weighted, with the importances below.
  struct Measured {
    std::string_view type;
    double plain;
    double weighted;
  };
  const std::vector<Measured> ggml{
      {"Q8_0", 2.875e-05, 2.872e-05},   {"Q6_K", 3.161e-04, 2.701e-04},
      {"Q5_1", 1.432e-03, 9.996e-04},   {"Q5_K", 1.304e-03, 1.135e-03},
      {"Q5_0", 1.828e-03, 1.520e-03},   {"Q4_1", 6.114e-03, 4.252e-03},
      {"Q4_K", 5.090e-03, 4.383e-03},   {"Q4_0", 7.413e-03, 6.144e-03},
      {"IQ4_NL", 5.799e-03, 5.132e-03}, {"IQ4_XS", 5.887e-03, 5.238e-03},
      {"Q3_K", 2.272e-02, 1.845e-02},   {"Q2_K", 8.776e-02, 5.800e-02},
  };
  CHECK(ggml.size() == gguf::block_schemes().size());
  const std::size_t in = 1024;
  const std::vector<float> weights = gaussian_weights(64 * in);
  std::vector<float> importance;
  for (std::size_t k = 0; k < in; ++k) {
    importance.push_back(std::exp(1.5f * std::sin(static_cast<float>(k))));
  }
  for (const Measured& measured : ggml) {
    CAPTURE(measured.type);
    const BlockScheme* const scheme = block_scheme(measured.type);
    REQUIRE(scheme != nullptr);
    const double plain = relative_error(weights, rounded_rows(*scheme, weights, in, {}), {});
    CHECK(plain == doctest::Approx(measured.plain).epsilon(0.1));
    const double weighted =
        relative_error(weights, rounded_rows(*scheme, weights, in, importance), importance);
    CHECK(weighted == doctest::Approx(measured.weighted).epsilon(0.1));
  }
}

TEST_CASE("what a GGUF type can hold is kept") {
  const auto kept = [](std::string_view type, const std::vector<float>& row) {
    std::vector<float> out(row.size());
    round_row(*block_scheme(type), row, {}, out);
    return out == row;
  };
  std::vector<float> integers(256);
  for (std::size_t k = 0; k < 256; ++k) integers[k] = 0.5f * (static_cast<float>(k % 16) - 8.0f);
  CHECK(kept("Q4_0", integers));
  CHECK(kept("Q4_1", integers));
  CHECK(kept("Q5_0", integers));
  CHECK_FALSE(kept("Q2_K", integers));
  for (const BlockScheme& scheme : gguf::block_schemes()) {
    CHECK(kept(scheme.name, std::vector<float>(256)));
  }
}

TEST_CASE("parts of a GGUF block have scales and minima of their own") {
  const std::vector<int> iq4{-127, -104, -83, -65, -49, -35, -22, -10,
                             1,    13,   25,  38,  53,  69,  89,  113};
  for (const BlockScheme& scheme : gguf::block_schemes()) {
    if (scheme.scale_steps == 0) continue;
    CAPTURE(scheme.name);
    const int levels = scheme.highest - scheme.lowest + 1;
    const int part = static_cast<int>(scheme.part);
    const int parts = 256 / part;
    std::vector<float> row;
    for (int p = 0; p < parts; ++p) {
      const int scale = scheme.scale_steps - p * scheme.scale_steps / parts;
      const int minimum = scheme.minimum ? scheme.scale_steps - (p + 1) % parts : 0;
      for (int k = 0; k < part; ++k) {
        const int level = scheme.levels == gguf::Levels::iq4
                              ? iq4[static_cast<std::size_t>(k % 16)]
                              : scheme.lowest + k * std::max(1, levels / part) % levels;
        row.push_back(static_cast<float>(scale * level - minimum));
      }
    }
    std::vector<float> out(row.size());
    round_row(scheme, row, {}, out);
    CHECK(out == row);
    // With another largest scale the others are no multiples of their unit.
    for (std::size_t k = 0; k < scheme.part; ++k) row[k] *= 1.03f;
    round_row(scheme, row, {}, out);
    CHECK(out != row);
  }
}

TEST_CASE("an importance draws a GGUF type's error to other channels") {
  const std::size_t in = 256;
  const std::vector<float> weights = gaussian_weights(64 * in);
  std::vector<float> importance(in, 0.01f);
  for (std::size_t k = 0; k < in; k += 4) importance[k] = 1.0f;
  for (const BlockScheme& scheme : gguf::block_schemes()) {
    if (scheme.fit == gguf::Fit::never) continue;
    CAPTURE(scheme.name);
    const double plain = relative_error(weights, rounded_rows(scheme, weights, in, {}), importance);
    CHECK(relative_error(weights, rounded_rows(scheme, weights, in, importance), importance) <
          plain);
  }
}

TEST_CASE("a GGUF type cannot hold weights beyond half precision") {
  std::vector<float> row(256, 1.0f);
  row[7] = std::numeric_limits<float>::max();
  for (const BlockScheme& scheme : gguf::block_schemes()) {
    CAPTURE(scheme.name);
    std::vector<float> out(row.size());
    round_row(scheme, row, {}, out);
    const bool wrong = std::any_of(out.begin(), out.end(), [](float value) {
      return !std::isfinite(value) || std::abs(value) < 0.5f;
    });
    CHECK(wrong);
  }
}
