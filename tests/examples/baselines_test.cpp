#include "transformer/baselines.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "baseline_support.hpp"
#include "transformer/checkpoint.hpp"

namespace {

using namespace baseline_test;

std::vector<Baseline> all_baselines() {
  return {transformer::rtn(3, 64), transformer::rtn(4, 64), transformer::paper_uniform(),
          transformer::paper_nash(), transformer::paper_nash(true)};
}

/// Every finite half, in ascending order.
const Values& halves() {
  static const Values sorted = [] {
    Values values;
    for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
      const float value = nash_swarm::to_float(nash_swarm::Half{static_cast<std::uint16_t>(bits)});
      if (std::isfinite(value)) values.push_back(value);
    }
    std::sort(values.begin(), values.end());
    return values;
  }();
  return sorted;
}

/// Minimum and scale of a group, looked up in the list of all halves.
std::pair<double, double> minimum_and_scale(std::span<const float> group, int largest_code) {
  const double lowest = *std::min_element(group.begin(), group.end());
  const double highest = *std::max_element(group.begin(), group.end());
  const auto above = std::upper_bound(halves().begin(), halves().end(), lowest);
  REQUIRE(above != halves().begin());
  const double minimum = *(above - 1);
  const auto scale =
      std::lower_bound(halves().begin(), halves().end(), (highest - minimum) / largest_code);
  REQUIRE(scale != halves().end());
  return {minimum, static_cast<double>(*scale)};
}

/// Round-to-nearest of one group in plain double arithmetic.
void check_group(std::span<const float> weights, std::span<const float> decoded, int largest_code) {
  const auto [minimum, scale] = minimum_and_scale(weights, largest_code);
  std::vector<double> levels;
  for (int code = 0; code <= largest_code; ++code) levels.push_back(minimum + code * scale);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double weight = static_cast<double>(weights[i]);
    const double value = static_cast<double>(decoded[i]);
    const double rounding = 1e-7 * std::max(std::abs(minimum), std::abs(value));
    // A level, and none is nearer: of two that are equally near either is right.
    CHECK(std::abs(value - nearest(value, levels)) <= rounding);
    CHECK(std::abs(value - weight) <= std::abs(nearest(weight, levels) - weight) + rounding);
    CHECK(std::abs(value - weight) <= 0.5 * scale * (1 + 1e-6) + rounding);
  }
}

void check_groups(const Values& weights, std::size_t in, std::size_t group, unsigned bits) {
  const Values decoded =
      decode(transformer::rtn(bits, group), matrix(weights.size() / in, in, weights));
  for (std::size_t row = 0; row < weights.size(); row += in) {
    for (std::size_t first = 0; first < in; first += group) {
      const std::size_t count = std::min(group, in - first);
      check_group(std::span(weights).subspan(row + first, count),
                  std::span(decoded).subspan(row + first, count), (1 << bits) - 1);
    }
  }
}

double relative_error(const Values& weights, const Values& decoded) {
  double error = 0.0;
  double power = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    error += std::pow(static_cast<double>(decoded[i]) - static_cast<double>(weights[i]), 2);
    power += std::pow(static_cast<double>(weights[i]), 2);
  }
  return error / power;
}

}  // namespace

TEST_CASE("rtn: values by hand") {
  // Minimum −1 and scale 0.5 are halves: levels −1, −0.5 … 2.5.
  CHECK(decode(transformer::rtn(3, 4), matrix(1, 4, {-1.0f, 2.5f, 0.3f, 0.1f})) ==
        Values{-1.0f, 2.5f, 0.5f, 0.0f});
  // Two groups and a rest of one, which is constant.
  CHECK(decode(transformer::rtn(1, 2), matrix(1, 5, {0.0f, 1.0f, 8.0f, 4.0f, -3.0f})) ==
        Values{0.0f, 1.0f, 8.0f, 4.0f, -3.0f});
}

TEST_CASE("rtn: nearest level of a group, never farther than half a step") {
  check_groups(normal_values(9 * 200), 200, 64, 3);
  check_groups(normal_values(9 * 200), 200, 64, 4);
  check_groups(normal_values(4 * 64), 64, 7, 1);
  check_groups(normal_values(4 * 64), 64, 64, 8);
  check_groups(normal_values(4 * 64, 3000.0f), 64, 64, 3);  // far from zero: minimum is coarse
  check_groups(normal_values(4 * 64, -3000.0f), 64, 64, 3);
}

TEST_CASE("rtn: constant groups, subnormal ranges and the limits of binary16") {
  check_groups(Values(64, 0.1f), 64, 64, 3);
  CHECK(decode(transformer::rtn(3, 64), matrix(1, 64, Values(64, 0.25f))) == Values(64, 0.25f));
  CHECK(decode(transformer::rtn(3, 64), matrix(1, 64, Values(64, 0.0f))) == Values(64, 0.0f));
  check_groups({1e-9f, -1e-9f, 3e-9f, 0.0f}, 4, 4, 3);
  check_groups({1e-7f, -1e-7f, 4e-7f, -3e-7f}, 4, 4, 3);
  check_groups({-1e-9f, 7e-7f, 3e-7f, 1e-7f}, 4, 4, 3);  // the smallest negative half
  check_groups({1e-40f, 2e-40f, -1e-40f, 0.0f}, 4, 4, 3);
  check_groups({-65504.0f, 65504.0f, 1.0f, 0.0f}, 4, 4, 3);
  check_groups({0.0f, 4e5f, 1e5f, 7e4f}, 4, 4, 3);  // the scale still fits
  CHECK(message_of(transformer::rtn(3, 2), matrix(2, 4, {0, 1, 2, 3, 0, 0, 1, -65505.0f})) ==
        "h.0.mlp.c_fc: the group from [1, 2] has weights beyond what a minimum and a scale of 16 "
        "bits can hold; keep this matrix in float or scale it down");
  CHECK(message_of(transformer::rtn(1, 2), matrix(1, 2, {0, 7e4f})).find("[0, 0]") !=
        std::string::npos);
}

TEST_CASE("rtn: options out of range") {
  CHECK_THROWS_AS(transformer::rtn(0, 64), nash_swarm::Error);
  CHECK_THROWS_AS(transformer::rtn(9, 64), nash_swarm::Error);
  CHECK_THROWS_AS(transformer::rtn(3, 0), nash_swarm::Error);
}

TEST_CASE("rtn: bytes") {
  const auto bytes = [](unsigned bits, std::size_t group, std::size_t out, std::size_t in) {
    return quantize(transformer::rtn(bits, group), matrix(out, in, Values(out * in))).bytes;
  };
  CHECK(bytes(3, 64, 5, 192) == 5 * 192 * 7 / 16);  // 3.5 bits
  CHECK(bytes(4, 64, 5, 192) == 5 * 192 * 9 / 16);  // 4.5 bits
  CHECK(bytes(3, 64, 2, 67) == 2 * (24 + 4 + 2 + 4));
  CHECK(bytes(3, 64, 2, 5) == 2 * (2 + 4));
}

TEST_CASE("baselines: any slices and any threads give the same values") {
  const Source source = matrix(700, 500, normal_values(700 * 500));
  for (const Baseline& baseline : all_baselines()) {
    CAPTURE(baseline.label);
    ThreadPool serial(1);
    const transformer::QuantizedBaseline one = baseline.quantize(source, serial);
    const transformer::QuantizedBaseline two = quantize(baseline, source);
    const Values whole = read_all(*one.source);
    CHECK(one.bytes == two.bytes);
    for (const std::size_t slice : {1u, 3u, 256u, 699u}) {
      CHECK(read_all(*two.source, slice) == whole);
    }
    CHECK(two.source->name() == source->name());
    float value = 0.0f;
    CHECK_THROWS_AS(two.source->read_rows(700, {&value, {1, 1}}), nash_swarm::Error);
  }
}

TEST_CASE("baselines: very large weights stay finite") {
  const float huge = 3e38f;
  const Source source = matrix(2, 3, {huge, -huge, 0.0f, huge, 1.0f, -huge});
  for (const Baseline& baseline : {transformer::paper_uniform(), transformer::paper_nash(true)}) {
    for (const float value : decode(baseline, source)) CHECK(std::isfinite(value));
  }
  // A zero between huge weights is the least important: classes of 8, 1 and 1 weights.
  const Values zeros{huge, 0.0f, huge, 0.0f, huge, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
  CHECK(quantize(transformer::paper_nash(true), matrix(1, 10, zeros)).bytes == 4 + 2 + 12);
}

TEST_CASE("baselines: NaN and infinity are named by place") {
  Values weights(12, 1.0f);
  for (const Baseline& baseline : all_baselines()) {
    weights[6] = std::numeric_limits<float>::quiet_NaN();
    CHECK(message_of(baseline, matrix(3, 4, weights)) ==
          "h.0.mlp.c_fc: NaN at [1, 2]; export the checkpoint again");
    weights[6] = -std::numeric_limits<float>::infinity();
    CHECK(message_of(baseline, matrix(3, 4, weights)) ==
          "h.0.mlp.c_fc: infinity at [1, 2]; export the checkpoint again");
  }
}

TEST_CASE("baselines: the bundled token embedding") {
  const transformer::Checkpoint checkpoint(std::filesystem::path(NASH_SWARM_EXAMPLE_DATA) /
                                           "wiki-gpt2");
  const Source& wte = checkpoint.matrix("wte");
  const Values weights = read_all(*wte);
  std::vector<double> errors;
  for (const Baseline& baseline : all_baselines()) {
    const transformer::QuantizedBaseline quantized = quantize(baseline, wte);
    errors.push_back(relative_error(weights, read_all(*quantized.source)));
    MESSAGE(baseline.label << ": "
                           << 8.0 * static_cast<double>(quantized.bytes) /
                                  static_cast<double>(weights.size())
                           << " bits, relative squared error " << errors.back());
  }
  CHECK(errors[1] < errors[0]);  // rtn 4 bits, rtn 3 bits
  CHECK(errors[1] < errors[2]);  // paper_uniform
  CHECK(errors[0] < 0.1);
}
