#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <nash_swarm/core/error.hpp>
#include <random>
#include <string>
#include <vector>

#include "baseline_support.hpp"
#include "transformer/baselines.hpp"
#include "transformer/grouped_matrix.hpp"

namespace {

using namespace baseline_test;

/// Moments of channels of very different size, neighbours correlated.
Eigen::MatrixXd uneven_moments(std::size_t in) {
  Eigen::MatrixXd moment(in, in);
  for (Eigen::Index a = 0; a < moment.rows(); ++a) {
    for (Eigen::Index b = 0; b < moment.cols(); ++b) {
      const double size = std::exp2(0.05 * static_cast<double>((a * 37) % 64 + (b * 37) % 64));
      moment(a, b) = size * std::pow(0.9, static_cast<double>(std::abs(a - b)));
    }
  }
  return moment;
}

transformer::InputMoments always(const Eigen::MatrixXd& moment) {
  return [moment](const std::string&) { return moment; };
}

double error_under(const Eigen::MatrixXd& moment, const transformer::Baseline& baseline,
                   const Source& source) {
  ThreadPool pool(2);
  const transformer::FloatMatrix weights = transformer::read_finite(*source, pool);
  return transformer::output_error(*quantize(baseline, source).source, weights, moment, pool);
}

}  // namespace

TEST_CASE("grids: values by hand, spans that hold 0, and the limits of binary16") {
  // Four codes over [-1, 2]: scale 1, zero point 1.
  const std::vector<float> weights{-1.0f, 0.0f, 1.0f, 2.0f};
  const transformer::GroupGrid grid = transformer::fit_grid(weights, {}, 3);
  CHECK(grid.scale == 1.0f);
  CHECK(grid.zero == 1.0f);
  CHECK(grid.code(-5.0f, 3) == 0);
  CHECK(grid.code(0.6f, 3) == 2);
  CHECK(grid.value(3) == 2.0f);
  for (const float constant : {0.0f, 1e-30f, 7.0f, -7.0f}) {
    const std::vector<float> same(8, constant);
    const transformer::GroupGrid fitted = transformer::fit_grid(same, {}, 7);
    CHECK(fitted.value(fitted.code(constant, 7)) == doctest::Approx(constant).epsilon(1e-3));
  }
  // An outlier is worth clipping only if it does not matter.
  std::vector<float> outlier(64, 0.0f);
  for (std::size_t i = 0; i < 63; ++i) outlier[i] = 0.01f * static_cast<float>(i) - 0.3f;
  outlier[63] = 1.0f;
  std::vector<float> importance(64, 1.0f);
  importance[63] = 0.0f;
  CHECK(transformer::fit_grid(outlier, importance, 7).scale <
        transformer::fit_grid(outlier, {}, 7).scale);
}

TEST_CASE("gptq: with white inputs every weight goes to the nearest level of its grid") {
  const Source source = matrix(5, 96, normal_values(5 * 96));
  const Eigen::MatrixXd white = Eigen::MatrixXd::Identity(96, 96);
  const Values decoded = decode(transformer::gptq(3, 32, always(white)), source);
  const Values weights = normal_values(5 * 96);
  for (std::size_t first = 0; first < weights.size(); first += 32) {
    const auto part = std::span<const float>(weights).subspan(first, 32);
    const transformer::GroupGrid grid = transformer::fit_grid(part, {}, 7);
    for (std::size_t i = 0; i < 32; ++i) {
      CHECK(decoded[first + i] == grid.value(grid.code(part[i], 7)));
    }
  }
}

TEST_CASE("gptq and awq: moments lower the output error, gptq's feedback most") {
  constexpr std::size_t in = 128;
  const Source source = matrix(48, in, normal_values(48 * in));
  const Eigen::MatrixXd moment = uneven_moments(in);
  const Eigen::MatrixXd white = Eigen::MatrixXd::Identity(in, in);
  for (const unsigned bits : {2u, 3u, 4u}) {
    CAPTURE(bits);
    const double plain = error_under(moment, transformer::gptq(bits, 64, always(white)), source);
    const double scaled = error_under(moment, transformer::awq(bits, 64, always(moment)), source);
    const double moved = error_under(moment, transformer::gptq(bits, 64, always(moment)), source);
    CHECK(scaled < 0.95 * plain);
    CHECK(moved < 0.7 * scaled);
  }
}

TEST_CASE("hqq: no worse than a grid over the span, and dead channels do no harm") {
  const Values weights = normal_values(20 * 128);
  const Source source = matrix(20, 128, weights);
  const auto mean_error = [&](const Values& decoded) {
    double sum = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      sum += std::abs(static_cast<double>(weights[i]) - static_cast<double>(decoded[i]));
    }
    return sum;
  };
  for (const unsigned bits : {2u, 3u, 4u}) {
    CHECK(mean_error(decode(transformer::hqq(bits, 64), source)) <=
          1.02 * mean_error(decode(transformer::rtn(bits, 64), source)));
  }
  Eigen::MatrixXd dead = uneven_moments(128);
  for (Eigen::Index k = 0; k < 128; k += 2) {
    dead.row(k).setZero();
    dead.col(k).setZero();
  }
  for (const Eigen::MatrixXd& moment : {dead, Eigen::MatrixXd(Eigen::MatrixXd::Zero(128, 128))}) {
    for (const auto& baseline :
         {transformer::gptq(3, 64, always(moment)), transformer::awq(3, 64, always(moment))}) {
      for (const float value : decode(baseline, source)) CHECK(std::isfinite(value));
    }
  }
}

TEST_CASE("calibrated baselines: bytes, threads, and bad input") {
  const Eigen::MatrixXd moment = uneven_moments(192);
  const std::vector<transformer::Baseline> baselines{transformer::gptq(3, 64, always(moment)),
                                                     transformer::awq(3, 64, always(moment)),
                                                     transformer::hqq(3, 64)};
  const Values weights = normal_values(40 * 192);
  const Source source = matrix(40, 192, weights);
  // Codes 72 bytes a row, three scales of 2, zero points of 9 bits in two bytes or of 6 bytes.
  const std::uint64_t bytes[] = {40 * (72 + 6 + 2) + 2 * 192, 40 * (72 + 6 + 2) + 2 * 192,
                                 40 * (72 + 6 + 6)};
  for (std::size_t i = 0; i < baselines.size(); ++i) {
    CAPTURE(baselines[i].label);
    ThreadPool one(1);
    ThreadPool three(3);
    const transformer::QuantizedBaseline a = baselines[i].quantize(source, one);
    const transformer::QuantizedBaseline b = baselines[i].quantize(source, three);
    CHECK(a.bytes == bytes[i]);
    CHECK(read_all(*a.source) == read_all(*b.source, 7));
    Values bad = weights;
    bad[5 * 192 + 6] = std::numeric_limits<float>::quiet_NaN();
    CHECK(message_of(baselines[i], matrix(40, 192, bad)) ==
          "h.0.mlp.c_fc: NaN at [5, 6]; export the checkpoint again");
  }
  CHECK_THROWS_AS(transformer::gptq(1, 64, always(moment)), nash_swarm::Error);
  CHECK_THROWS_AS(transformer::awq(9, 64, always(moment)), nash_swarm::Error);
  CHECK_THROWS_AS(transformer::hqq(3, 0), nash_swarm::Error);
}
