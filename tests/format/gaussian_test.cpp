#include <nash_swarm/format/formats.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <vector>

#include "support/gaussian.hpp"

using nash_swarm::LinearCode;
using nash_swarm::PrunedCode;
using nash_swarm::RawCode;
using nash_swarm::ScalarCode;

namespace {

double density(double x) {
  return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}
double below(double x) {
  return 0.5 * (1 + std::erf(x / std::numbers::sqrt2));
}

/// Levels of the optimal quantizer of the Gaussian, by Lloyd's iteration: boundaries halfway
/// between levels, levels at the means of their intervals.
std::vector<double> lloyd_levels(std::size_t count) {
  std::vector<double> levels(count);
  for (std::size_t i = 0; i < count; ++i) {
    levels[i] = 4.0 * (static_cast<double>(i) + 0.5) / static_cast<double>(count) - 2.0;
  }
  for (int round = 0; round < 3000; ++round) {
    std::vector<double> next(count);
    for (std::size_t i = 0; i < count; ++i) {
      const double low = i == 0 ? -40.0 : (levels[i - 1] + levels[i]) / 2;
      const double high = i + 1 == count ? 40.0 : (levels[i] + levels[i + 1]) / 2;
      next[i] = (density(low) - density(high)) / (below(high) - below(low));
    }
    levels.swap(next);
  }
  return levels;
}

}  // namespace

TEST_CASE_TEMPLATE("gaussian: scalar levels are the optimal quantizer rounded to integers", F,
                   ScalarCode<2>, ScalarCode<3>, ScalarCode<4>) {
  const std::vector<double> levels = lloyd_levels(F::code_count);
  CHECK(static_cast<double>(F::Levels::largest) == doctest::Approx(levels.back()).epsilon(1e-4));
  for (unsigned code = 0; code < F::code_count; ++code) {
    const double exact = 63.0 * levels[code] / levels.back();
    CHECK(F::value(static_cast<std::uint16_t>(code)) == std::lround(exact));
  }
}

TEST_CASE("gaussian: the noise of every format is that of Gaussian samples") {
  const std::vector<float> samples = support::gaussian(1'000'000, 20240229);
  const auto decibels = [&]<class F>(F) {
    double sum = 0;
    for (const float sample : samples) {
      const double value = F::value(F::nearest(sample));
      const double error = value * static_cast<double>(F::unit) - static_cast<double>(sample);
      sum += error * error;
    }
    return 10 * std::log10(sum / static_cast<double>(samples.size()) / F::gaussian_noise);
  };
  CHECK(std::fabs(decibels(PrunedCode{})) < 0.1);
  CHECK(std::fabs(decibels(ScalarCode<2>{})) < 0.1);
  CHECK(std::fabs(decibels(ScalarCode<3>{})) < 0.1);
  CHECK(std::fabs(decibels(ScalarCode<4>{})) < 0.1);
  CHECK(std::fabs(decibels(LinearCode<5>{})) < 0.1);
  CHECK(std::fabs(decibels(LinearCode<6>{})) < 0.1);
  CHECK(std::fabs(decibels(LinearCode<8>{})) < 0.1);
  CHECK(std::fabs(decibels(RawCode{})) < 0.2);
}
