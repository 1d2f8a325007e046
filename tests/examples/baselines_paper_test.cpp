#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "baseline_support.hpp"
#include "transformer/baselines.hpp"

namespace {

using namespace baseline_test;

/// −n … n times max/n.
std::vector<double> symmetric_levels(double largest, int n) {
  std::vector<double> levels;
  for (int code = -n; code <= n; ++code) levels.push_back(code * largest / n);
  return levels;
}

/// The data-free importance, weight by weight.
double data_free(const Values& w, std::size_t in, std::size_t index) {
  const std::size_t row = index / in;
  const std::size_t column = index % in;
  double value = std::abs(w[index]);
  if (row > 0) value *= 1.0 + std::abs(w[index - in]);
  if (index + in < w.size()) value *= 1.0 + std::abs(w[index + in]);
  if (column > 0) value *= 1.0 + std::abs(w[index - 1]);
  if (column + 1 < in) value *= 1.0 + std::abs(w[index + 1]);
  return value;
}

/// The paper's scheme by sorting all weights; no two may be equally important.
std::vector<double> sorted_paper_nash(const Values& w, const std::vector<double>& importance) {
  std::vector<std::size_t> order(w.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return importance[a] < importance[b]; });
  const std::array<std::size_t, 4> ends{0, (w.size() * 7 + 9) / 10, (w.size() * 9 + 9) / 10,
                                        w.size()};
  std::vector<double> decoded(w.size());
  for (std::size_t c = 0; c < 3; ++c) {
    double largest = 0.0;
    for (std::size_t i = ends[c]; i < ends[c + 1]; ++i) {
      largest = std::max(largest, static_cast<double>(std::abs(w[order[i]])));
    }
    const std::vector<double> levels =
        c == 0 ? std::vector{-0.75 * largest, -0.25 * largest, 0.25 * largest, 0.75 * largest}
               : symmetric_levels(largest, c == 1 ? 7 : 127);
    for (std::size_t i = ends[c]; i < ends[c + 1]; ++i) {
      decoded[order[i]] = nearest(static_cast<double>(w[order[i]]), levels);
    }
  }
  return decoded;
}

}  // namespace

TEST_CASE("paper_uniform: values by hand and bytes") {
  const Source source = matrix(3, 1, {-14.0f, 3.1f, 4.9f});
  CHECK(decode(transformer::paper_uniform(), source) == Values{-14.0f, 4.0f, 4.0f});
  CHECK(quantize(transformer::paper_uniform(), source).bytes == 2 + 4);
  CHECK(decode(transformer::paper_uniform(), matrix(1, 2, {0.0f, 0.0f})) == Values{0.0f, 0.0f});

  const Values weights = normal_values(600);
  const double largest = static_cast<double>(std::abs(*std::max_element(
      weights.begin(), weights.end(), [](float a, float b) { return std::abs(a) < std::abs(b); })));
  const Values decoded = decode(transformer::paper_uniform(), matrix(20, 30, weights));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double expected = nearest(static_cast<double>(weights[i]), symmetric_levels(largest, 7));
    CHECK(static_cast<double>(decoded[i]) == doctest::Approx(expected).epsilon(1e-6));
  }
}

TEST_CASE("paper_nash: values by hand and bytes") {
  // Seven weights of 2 bits (levels ±1, ±3), two of 4 (scale 2), one of 8 (scale 1).
  const Values weights{0.5f, -4.0f, 2.5f, -1.5f, 3.0f, 1.0f, -0.1f, 127.0f, -14.0f, 6.9f};
  const transformer::QuantizedBaseline quantized =
      quantize(transformer::paper_nash(), matrix(2, 5, weights));
  CHECK(read_all(*quantized.source) ==
        Values{1.0f, -3.0f, 3.0f, -1.0f, 3.0f, 1.0f, -1.0f, 127.0f, -14.0f, 6.0f});
  // 7·2 + 2·4 + 1·8 = 30 bits of codes, 11.57 bits of entropy, three scales.
  CHECK(quantized.bytes == 4 + 2 + 12);
}

TEST_CASE("paper_nash: equal importance is one class, and the bytes say so") {
  const transformer::QuantizedBaseline equal =
      quantize(transformer::paper_nash(), matrix(2, 5, Values(10, -4.0f)));
  CHECK(read_all(*equal.source) == Values(10, -3.0f));
  CHECK(equal.bytes == 3 + 0 + 12);  // ten codes of 2 bits, no mask
  CHECK(decode(transformer::paper_nash(true), matrix(1, 4, Values(4, 0.0f))) == Values(4, 0.0f));
}

TEST_CASE("paper_nash: the classes of a full sort") {
  constexpr std::size_t in = 51;  // the quantiles are no whole numbers of weights
  const Values weights = normal_values(33 * in);
  for (const bool neighbours : {false, true}) {
    CAPTURE(neighbours);
    std::vector<double> importance(weights.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      importance[i] =
          neighbours ? data_free(weights, in, i) : static_cast<double>(std::abs(weights[i]));
    }
    const std::vector<double> expected = sorted_paper_nash(weights, importance);
    const Values decoded = decode(transformer::paper_nash(neighbours), matrix(33, in, weights));
    for (std::size_t i = 0; i < weights.size(); ++i) {
      CHECK(static_cast<double>(decoded[i]) == doctest::Approx(expected[i]).epsilon(1e-6));
    }
  }
}

TEST_CASE("paper_nash: 4.16 bits per weight with the mask") {
  constexpr std::size_t out = 700;  // more than one slice of the passes
  constexpr std::size_t in = 768;
  const Source source = matrix(out, in, normal_values(out * in));
  for (const bool neighbours : {false, true}) {
    const auto bytes =
        static_cast<double>(quantize(transformer::paper_nash(neighbours), source).bytes);
    CHECK(8 * bytes / (out * in) == doctest::Approx(4.1568).epsilon(0.0005));
  }
}
