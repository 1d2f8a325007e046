#include <nash_swarm/calibration/gradient_moment.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/model/pack.hpp>
#include <nash_swarm/model/payoff.hpp>

#include "io/support.hpp"
#include "support/moments.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::GradientMoment;
using nash_swarm::GroupMoment;
using nash_swarm::InputMoment;
using nash_swarm::MatrixCalibration;
using nash_swarm::test::message_of;
using support::Row;
using support::rows_of;
using support::serial;

/// Two sequences of 30 tokens through a matrix of 32 × 70, two groups of rows.
template <class E>
GradientMoment two_sequences(E& executor) {
  GradientMoment moment("w", 32, 70, 16);
  for (const unsigned seed : {1u, 2u}) {
    moment.add(rows_of(support::correlated(30, 70, seed), 70),
               rows_of(support::correlated(30, 32, seed + 5), 32), executor);
  }
  return moment;
}

}  // namespace

TEST_CASE("gradient moment: equals its definition") {
  const GradientMoment moment = two_sequences(serial);
  CHECK(moment.tokens() == 60);
  CHECK(moment.sequences() == 2);
  std::vector<double> sums(2 * 70 * 70);
  std::vector<double> squares(32);
  for (const unsigned seed : {1u, 2u}) {
    const Row x = support::correlated(30, 70, seed);
    const Row dy = support::correlated(30, 32, seed + 5);
    for (std::size_t row = 0; row < 32; ++row) {
      std::vector<double> gradient(70);
      for (std::size_t t = 0; t < 30; ++t) {
        for (std::size_t k = 0; k < 70; ++k) {
          gradient[k] += static_cast<double>(dy[t * 32 + row]) * static_cast<double>(x[t * 70 + k]);
        }
      }
      for (std::size_t a = 0; a < 70; ++a) {
        squares[row] += gradient[a] * gradient[a];
        for (std::size_t b = 0; b < 70; ++b) {
          sums[(row / 16 * 70 + a) * 70 + b] += gradient[a] * gradient[b];
        }
      }
    }
  }
  for (std::size_t group = 0; group < 2; ++group) {
    const double size = moment.trace(group) / 70.0;
    double trace = 0.0;
    for (std::size_t a = 0; a < 70; ++a) {
      trace += sums[(group * 70 + a) * 70 + a] / 60.0;
      for (std::size_t b = 0; b < 70; ++b) {
        CHECK(moment(group, a, b) ==
              doctest::Approx(sums[(group * 70 + a) * 70 + b] / 60.0).epsilon(1e-4).scale(size));
      }
    }
    CHECK(moment.trace(group) == doctest::Approx(trace).epsilon(1e-5).scale(0.0));
  }
  for (std::size_t row = 0; row < 32; ++row) {
    CHECK(moment.row_square(row) == doctest::Approx(squares[row] / 60.0).epsilon(1e-4).scale(0.0));
  }
}

TEST_CASE("gradient moment: squares of rows are kept of every second sequence apart") {
  GradientMoment moment("w", 2, 1, 2);
  for (const float size : {1.0f, 10.0f, 2.0f}) {
    moment.add_gradient(rows_of({size, 2 * size}, 1), 1, serial);
  }
  CHECK(moment.half_square(0, 0) == 1 + 4);
  CHECK(moment.half_square(1, 0) == 100);
  CHECK(moment.half_square(0, 1) == 4 * (1 + 4));
  CHECK(moment.row_square(1) == 4 * (1 + 4 + 100) / 3.0);
}

TEST_CASE("gradient moment: the same for any number of threads") {
  const GradientMoment expected = two_sequences(serial);
  nash_swarm::ThreadPool pool(3);
  const GradientMoment found = two_sequences(pool);
  for (std::size_t a = 0; a < 70; ++a) {
    for (std::size_t b = 0; b < 70; ++b) CHECK(found(1, a, b) == expected(1, a, b));
  }
}

TEST_CASE("gradient moment: two halves merged are the whole, up to rounding") {
  const GradientMoment whole = two_sequences(serial);
  GradientMoment merged("w", 32, 70, 16);
  for (const unsigned seed : {1u, 2u}) {
    GradientMoment half("w", 32, 70, 16);
    half.add(rows_of(support::correlated(30, 70, seed), 70),
             rows_of(support::correlated(30, 32, seed + 5), 32), serial);
    merged.merge(half);
  }
  CHECK(merged.tokens() == 60);
  CHECK(merged.sequences() == 2);
  for (std::size_t group = 0; group < 2; ++group) {
    const double size = whole.trace(group) / 70.0;
    for (std::size_t a = 0; a < 70; ++a) {
      for (std::size_t b = 0; b < 70; ++b) {
        CHECK(merged(group, a, b) == doctest::Approx(whole(group, a, b)).epsilon(1e-5).scale(size));
      }
    }
  }
  for (std::size_t row = 0; row < 32; ++row) {
    CHECK(merged.row_square(row) == doctest::Approx(whole.row_square(row)).epsilon(1e-12));
    for (const std::size_t half : {0u, 1u}) {
      CHECK(merged.half_square(half, row) ==
            doctest::Approx(whole.half_square(half, row)).epsilon(1e-12));
    }
  }
}

TEST_CASE("gradient moment: moments of another matrix are not merged") {
  GradientMoment moment = two_sequences(serial);
  CHECK(message_of([&] { moment.merge(GradientMoment("w", 32, 70, 8)); }) ==
        "w: gradients [32, 70] in groups of 16 rows cannot be merged with those of w, [32, 70] in "
        "groups of 8 rows");
  CHECK_FALSE(message_of([&] { moment.merge(GradientMoment("v", 32, 70, 16)); }).empty());
  CHECK_FALSE(message_of([&] { moment.merge(GradientMoment("w", 48, 70, 16)); }).empty());
  CHECK_FALSE(message_of([&] { moment.merge(GradientMoment("w", 32, 71, 16)); }).empty());
  CHECK(moment.sequences() == 2);
}

TEST_CASE("matrix calibration: a blend has the trace of the gradients, per row") {
  const GradientMoment gradients = two_sequences(serial);
  InputMoment inputs("w", 70);
  inputs.add(rows_of(support::correlated(100, 70, 9), 70), serial);
  const MatrixCalibration calibration(inputs, gradients);
  CHECK(calibration.has_gradients());
  CHECK(calibration.group_of(15) == 0);
  CHECK(calibration.group_of(16) == 1);
  for (std::size_t group = 0; group < 2; ++group) {
    const GroupMoment moment(calibration, group);
    CHECK(moment.trace() ==
          doctest::Approx(gradients.trace(group) / 16.0).epsilon(1e-9).scale(0.0));
    double shares = 0.0;
    for (std::size_t row = 0; row < 16; ++row) shares += calibration.row_share(group * 16 + row);
    CHECK(shares == doctest::Approx(16.0).epsilon(1e-4));
  }
}

TEST_CASE("matrix calibration: gradients that have seen nothing leave the inputs") {
  InputMoment inputs("w", 70);
  inputs.add(rows_of(support::correlated(100, 70, 9), 70), serial);
  const GradientMoment nothing("w", 32, 70, 16);
  const MatrixCalibration calibration(inputs, nothing);
  CHECK_FALSE(calibration.has_gradients());
  const GroupMoment moment(calibration, 0);
  for (std::size_t k = 0; k < 70; ++k) CHECK(moment(k, 3) == inputs(k, 3));
  CHECK(calibration.row_share(5) == 1.0);
}

TEST_CASE("payoff: with gradients it is the expected loss in nats, by row") {
  // Rows of group 1 matter a hundred times as much as those of group 0.
  constexpr std::size_t out = 32, in = 128, tokens = 40;
  GradientMoment gradients("w", out, in, 16);
  InputMoment inputs("w", in);
  for (unsigned sequence = 0; sequence < 40; ++sequence) {
    const Row x = support::correlated(tokens, in, sequence);
    Row dy = support::correlated(tokens, out, 100 + sequence);
    for (std::size_t i = 0; i < dy.size(); ++i) dy[i] *= i % out < 16 ? 1e-3f : 1e-2f;
    inputs.add(rows_of(x, in), serial);
    gradients.add(rows_of(x, in), rows_of(dy, out), serial);
  }
  const MatrixCalibration calibration(inputs, gradients);
  const auto basis = std::make_shared<const nash_swarm::InputBasis>("w.input", in, 128, 3);
  const Row weights = support::correlated(out, in, 300);
  const auto payoff =
      nash_swarm::matrix_payoff("w", rows_of(weights, in), calibration, *basis, 1.0, serial);
  for (const char* name : {"b3_l3", "b3_hash32"}) {
    const std::size_t format = nash_swarm::format_index(name);
    const nash_swarm::MatrixPlan plan{
        "w", out, in, basis,
        nash_swarm::CellMap(2, nash_swarm::block_count(in), nash_swarm::format_table[format].id)};
    const auto packed = nash_swarm::pack(rows_of(weights, in), plan, calibration, serial);
    double loss[2] = {};
    Row error(in);
    for (std::size_t row = 0; row < out; ++row) {
      nash_swarm::decode_row(packed, row, nash_swarm::TensorView<float, 1>(error.data(), {in}));
      for (std::size_t k = 0; k < in; ++k) error[k] = weights[row * in + k] - error[k];
      const GroupMoment moment(calibration, row / 16);
      double cost = 0.0;
      for (std::size_t a = 0; a < in; ++a) {
        for (std::size_t b = 0; b < in; ++b) {
          cost += static_cast<double>(error[a]) * moment(a, b) * static_cast<double>(error[b]);
        }
      }
      loss[row / 16] += 0.5 * calibration.row_share(row) * cost;
    }
    for (std::size_t panel = 0; panel < 2; ++panel) {
      CAPTURE(panel);
      const double expected =
          payoff.cell_loss(panel, 0, format) + payoff.cell_loss(panel, 1, format);
      CHECK(expected > 0.7 * loss[panel]);
      CHECK(expected < 1.6 * loss[panel]);  // damping counts as well
    }
    CHECK(loss[1] > 30.0 * loss[0]);
  }
}

TEST_CASE("gradient moment: bad input is refused") {
  CHECK(message_of([] {
          GradientMoment("w", 32, 70, 5);
        }).starts_with("w: groups of 5 rows do not divide 32 rows"));
  CHECK(message_of([] { GradientMoment("w", 32, 70, 0); }).starts_with("w: groups of 0 rows"));
  GradientMoment moment("w", 32, 70, 16);
  CHECK_FALSE(
      message_of([&] { moment.add(rows_of(Row(70), 70), rows_of(Row(31), 31), serial); }).empty());
  Row gradient(32 * 70);
  gradient[7 * 70 + 3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(message_of([&] {
          moment.add_gradient(rows_of(gradient, 70), 9, serial);
        }).starts_with("w: the gradient of row 7 is not finite"));
  const InputMoment other("w", 69);
  CHECK_FALSE(message_of([&] { MatrixCalibration(other, moment); }).empty());
}
