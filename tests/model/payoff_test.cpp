#include <nash_swarm/model/payoff.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/matmul.hpp>
#include <nash_swarm/model/model.hpp>
#include <nash_swarm/rounding/nearest.hpp>

#include "io/support.hpp"
#include "support/decoding.hpp"
#include "support/gaussian.hpp"
#include "support/moments.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

double gaussian_noise(std::size_t f) {
  return nash_swarm::format_table[f].gaussian_noise;
}

using nash_swarm::CellMap;
using nash_swarm::InputBasis;
using nash_swarm::InputMoment;
using nash_swarm::MatrixPayoff;
using nash_swarm::test::message_of;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;

/// Padding included.
double stored_weights(std::size_t out, std::size_t in) {
  return static_cast<double>(nash_swarm::panel_count(out) * nash_swarm::panel_rows *
                             nash_swarm::block_count(in) * nash_swarm::block_channels);
}

/// Σ over inputs of |(W − V)·x|², V empty for 0.
double output_energy(const Row& w, const Row& v, const Row& x, std::size_t in) {
  double energy = 0.0;
  for (std::size_t t = 0; t < x.size(); t += in) {
    for (std::size_t row = 0; row < w.size(); row += in) {
      double y = 0.0;
      for (std::size_t k = 0; k < in; ++k) {
        const float difference = w[row + k] - (v.empty() ? 0.0f : v[row + k]);
        y += static_cast<double>(difference) * static_cast<double>(x[t + k]);
      }
      energy += y * y;
    }
  }
  return energy;
}

}  // namespace

TEST_CASE("payoff: the expected loss is the error of the output as it is packed") {
  constexpr std::size_t out = 120;
  constexpr std::size_t in = 256;
  const Row weights = gaussian(out * in, 1);
  const Row x = support::correlated(400, in, 2);
  InputMoment moment("w", in);
  moment.add(rows_of(x, in), serial);
  const auto basis = std::make_shared<const InputBasis>("w.input", in, 256, 7);
  using nash_swarm::WindowFamily;
  const std::vector families{WindowFamily::table, WindowFamily::sum, WindowFamily::hash16,
                             WindowFamily::hash32};
  const MatrixPayoff payoff =
      nash_swarm::matrix_payoff("w", rows_of(weights, in), moment, *basis, 1.0, serial, families);
  const nash_swarm::ErrorFeedback feedback(moment, *basis);
  const double energy = output_energy(weights, {}, x, in);
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    const nash_swarm::Format& format = nash_swarm::format_table[f];
    if (format.id == nash_swarm::FormatId{16}) continue;  // its errors are lost in those of float
    if (format.twice_bits % 2 == 1) continue;             // a search takes its time
    CAPTURE(format.name);
    const CellMap cells(nash_swarm::panel_count(out), nash_swarm::block_count(in), format.id);
    const Row decoded = support::decoded(
        nash_swarm::round_matrix("w", rows_of(weights, in), basis, cells, feedback, serial));
    // Damping counts errors that the inputs do not show: 1/sqrt(400) of the mean moment.
    const double measured =
        stored_weights(out, in) * output_energy(weights, decoded, x, in) / energy;
    CHECK(payoff.loss(f) > 0.9 * measured);
    CHECK(payoff.loss(f) < 1.6 * measured);
  }
}

TEST_CASE("payoff: by hand") {
  const InputBasis basis("w.input", 2, 0, 0);
  const Row weights = {3, 4, 0, 1};
  InputMoment moment("w", 2);
  moment.add(rows_of({1, 0, 0, 2}, 2), serial);  // uncorrelated, mean squares 1/2 and 2
  const MatrixPayoff payoff =
      nash_swarm::matrix_payoff("w", rows_of(weights, 2), moment, basis, 0.5, serial);
  // |W|^2 = 26; trace 5/2, by 1/sqrt(2) more with damping, over 64 channels of the basis;
  // sum of H_kk |W_k|^2 = 9/2 + 2 * 17.
  const double matrix =
      stored_weights(2, 2) * 0.5 * 26.0 * (2.5 * (1.0 + std::sqrt(0.5)) / 64.0) / 38.5;
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CHECK(payoff.loss(f) == doctest::Approx(matrix * gaussian_noise(f)).epsilon(1e-6).scale(0.0));
  }
}

TEST_CASE("payoff: the cells of a matrix add up to it") {
  constexpr std::size_t out = 40;
  const Row weights = gaussian(out * 300, 8);
  InputMoment moment("w", 300);
  moment.add(rows_of(support::correlated(9, 300, 5), 300), serial);
  for (const std::size_t rotation : {0u, 64u}) {  // 320 channels of the basis
    const InputBasis basis("w.input", 300, rotation, 0, support::random_permutation(300, 2));
    const MatrixPayoff payoff =
        nash_swarm::matrix_payoff("w", rows_of(weights, 300), moment, basis, 0.3, serial);
    REQUIRE(payoff.panel_energy.size() == 3);
    REQUIRE(payoff.block_moment.front().size() == 5);
    for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
      double cells = 0.0;
      for (std::size_t p = 0; p < 3; ++p) {
        for (std::size_t b = 0; b < 5; ++b) cells += payoff.cell_loss(p, b, f);
      }
      CHECK(cells > 0.0);
      CHECK(payoff.loss(f) == doctest::Approx(cells).epsilon(1e-12).scale(0.0));
    }
  }
}

TEST_CASE("payoff: a cell has the share of its rows and the moments of its rotation group") {
  // Two groups of 128 channels, the second with 20 of padding; row r has the length r + 1.
  constexpr std::size_t in = 236;
  Row weights(17 * in);
  for (std::size_t row = 0; row < 17; ++row) {
    weights[row * in + row] = static_cast<float>(row + 1);
  }
  Row x = gaussian(4000 * in, 9);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= i % in < 128 ? 2.0f : 1.0f;
  InputMoment moment("w", in);
  moment.add(rows_of(x, in), serial);
  const InputBasis basis("w.input", in, 128, 0);
  const MatrixPayoff payoff =
      nash_swarm::matrix_payoff("w", rows_of(weights, in), moment, basis, 1.0, serial);
  REQUIRE(payoff.block_moment.front().size() == 4);
  for (std::size_t b = 0; b < 2; ++b) {
    CHECK(payoff.block_moment[0][b] == doctest::Approx(4.0 * 64.0).epsilon(0.1));
    CHECK(payoff.block_moment[0][2 + b] < 1.1 * 108.0 / 2.0);  // feedback makes use of the padding
    CHECK(payoff.block_moment[0][2 + b] > 0.4 * 108.0 / 2.0);
  }
  CHECK(payoff.panel_energy[0] == doctest::Approx(16.0 * payoff.panel_energy[1]).epsilon(1e-12));
}

TEST_CASE("payoff: without moments every channel counts the same, and zeros cost nothing") {
  const InputBasis basis("w.input", 64, 64, 0);
  const Row weights = gaussian(16 * 64, 3);
  const InputMoment nothing("w", 64);
  const MatrixPayoff payoff =
      nash_swarm::matrix_payoff("w", rows_of(weights, 64), nothing, basis, 1.0, serial);
  const MatrixPayoff zeros =
      nash_swarm::matrix_payoff("w", rows_of(Row(16 * 64), 64), nothing, basis, 1.0, serial);
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CHECK(payoff.loss(f) == doctest::Approx(16 * 64 * gaussian_noise(f)).scale(0.0));
    CHECK(zeros.loss(f) == 0.0);
  }
}

TEST_CASE("payoff: the same for any number of threads") {
  const InputBasis basis("w.input", 100, 128, 0);
  const Row weights = gaussian(500 * 100, 4);
  InputMoment moment("w", 100);
  moment.add(rows_of(support::correlated(9, 100, 5), 100), serial);
  const MatrixPayoff expected =
      nash_swarm::matrix_payoff("w", rows_of(weights, 100), moment, basis, 1.0, serial);
  for (const std::size_t threads : {1u, 2u, 3u}) {
    nash_swarm::ThreadPool pool(threads);
    const MatrixPayoff payoff =
        nash_swarm::matrix_payoff("w", rows_of(weights, 100), moment, basis, 1.0, pool);
    CHECK(payoff.panel_energy == expected.panel_energy);
    CHECK(payoff.block_moment == expected.block_moment);
    CHECK(payoff.noise == expected.noise);
  }
}

TEST_CASE("payoff: what was measured in two formats corrects all between and beyond them") {
  nash_swarm::Model model;
  model.add("w", rows_of(gaussian(16 * 64, 3), 64), InputMoment("w", 64), serial);
  const MatrixPayoff before = model.matrices()[0].payoff;
  const std::size_t fine = nash_swarm::format_index(std::string_view("b4_l4"));
  const std::size_t coarse = nash_swarm::format_index(std::string_view("b2_l2"));
  const std::vector<nash_swarm::LoneLoss> measured{{coarse, 3.0 * before.loss(coarse)},
                                                   {fine, 1.0 * before.loss(fine)}};
  model.correct("w", measured);
  const MatrixPayoff& after = model.matrices()[0].payoff;
  for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
    CAPTURE(nash_swarm::format_table[f].name);
    const double share =
        (before.noise[f] - before.noise[fine]) / (before.noise[coarse] - before.noise[fine]);
    const double factor = 1.0 + 2.0 * std::clamp(share, 0.0, 1.0);
    CHECK(after.loss(f) == doctest::Approx(factor * before.loss(f)).scale(0.0));
  }
  // One format alone gives one factor.
  const std::vector<nash_swarm::LoneLoss> one{{fine, 0.5 * after.loss(fine)}};
  model.correct("w", one);
  CHECK(model.matrices()[0].payoff.loss(coarse) ==
        doctest::Approx(1.5 * before.loss(coarse)).scale(0.0));
  const auto message = [&](const char* name, std::vector<nash_swarm::LoneLoss> lone) {
    return message_of([&] { model.correct(name, lone); });
  };
  CHECK(message("v", one).starts_with("v: not in the model"));
  CHECK(message("w", {}).starts_with("w: no format was measured"));
  CHECK(message("w", {{fine, 0.0}}).starts_with("w: format "));
  CHECK(message("w", {{nash_swarm::format_count, 1.0}}).starts_with("w: format "));
}

TEST_CASE("payoff: bad weights and shapes are refused") {
  const InputBasis basis("w.input", 64, 64, 0);
  const InputMoment moment("w", 64);
  Row weights = gaussian(200 * 64, 6);
  const auto message = [&](const InputMoment& moments, const InputBasis& input) {
    return message_of(
        [&] { nash_swarm::matrix_payoff("w", rows_of(weights, 64), moments, input, 1.0, serial); });
  };
  CHECK(message(moment, basis).empty());
  CHECK(message(InputMoment("w", 65), basis).starts_with("w: "));
  CHECK(message(moment, InputBasis("w.input", 65, 64, 0)).starts_with("w: "));
  weights[150 * 64 + 9] = std::numeric_limits<float>::quiet_NaN();
  CHECK(message(moment, basis).starts_with("w: NaN at [150, 9]"));
}
