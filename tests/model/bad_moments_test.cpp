// Moments that tell little, nothing or nonsense, from the calibration to the decoded matrix: a
// right result of a bounded error, or a message that names matrix, place and remedy.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/model/allocate.hpp>
#include <nash_swarm/model/pack.hpp>

#include "io/support.hpp"
#include "support/decoding.hpp"
#include "support/gaussian.hpp"
#include "support/moments.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::GradientMoment;
using nash_swarm::InputBasis;
using nash_swarm::InputMoment;
using nash_swarm::MatrixCalibration;
using nash_swarm::SymmetricSums;
using nash_swarm::test::message_of;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;

constexpr std::size_t out_features = 32;
constexpr std::size_t in_features = 192;
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

const Row& weights() {
  static const Row made = gaussian(out_features * in_features, 5);
  return made;
}

nash_swarm::PackedMatrix packed(const MatrixCalibration& calibration, const char* format) {
  const auto basis = std::make_shared<const InputBasis>("w.input", in_features, 64, 1);
  const nash_swarm::CellMap cells(nash_swarm::panel_count(out_features),
                                  nash_swarm::block_count(in_features),
                                  nash_swarm::format_table[nash_swarm::format_index(format)].id);
  return nash_swarm::pack(rows_of(weights(), in_features),
                          {"w", out_features, in_features, basis, cells}, calibration, serial);
}

InputMoment moment_of(const Row& x) {
  InputMoment moment("w", in_features);
  moment.add(rows_of(x, in_features), serial);
  return moment;
}

/// Moments in which a diagonal has been written over.
InputMoment moment_with(float diagonal, std::size_t a, std::size_t b, float value) {
  SymmetricSums sums(1, in_features);
  const auto at = [&](std::size_t i, std::size_t j) -> float& {
    const std::size_t band = std::max(i, j) / SymmetricSums::band_channels;
    const std::size_t first = band * SymmetricSums::band_channels;
    const std::size_t width = std::min(in_features, first + SymmetricSums::band_channels);
    return sums.values()[SymmetricSums::floats_of_group(first) + (std::max(i, j) - first) * width +
                         std::min(i, j)];
  };
  for (std::size_t k = 0; k < in_features; ++k) at(k, k) = diagonal;
  at(a, b) = value;
  REQUIRE(std::isnan(value) == std::isnan(sums(0, a, b)));
  return InputMoment("w", std::move(sums), 1'000'000'000);
}

/// Mean square of Σ e·x over the rows' errors e and the inputs x, relative to that of the outputs.
double output_error(const nash_swarm::PackedMatrix& matrix, const Row& x) {
  const Row found = support::decoded(matrix);
  double error = 0.0;
  double output = 0.0;
  for (std::size_t t = 0; t < x.size(); t += in_features) {
    for (std::size_t row = 0; row < out_features * in_features; row += in_features) {
      double lost = 0.0;
      double y = 0.0;
      for (std::size_t k = 0; k < in_features; ++k) {
        const auto w = static_cast<double>(weights()[row + k]);
        y += w * static_cast<double>(x[t + k]);
        lost += (static_cast<double>(found[row + k]) - w) * static_cast<double>(x[t + k]);
      }
      error += lost * lost;
      output += y * y;
    }
  }
  return error / output;
}

/// Squared error of the weights themselves, relative to them and to the noise of the format.
double weight_error(const nash_swarm::PackedMatrix& matrix, const char* format) {
  const Row found = support::decoded(matrix);
  double error = 0.0;
  double square = 0.0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto w = static_cast<double>(weights()[i]);
    const double gap = static_cast<double>(found[i]) - w;
    error += gap * gap;
    square += w * w;
  }
  const double noise = nash_swarm::format_table[nash_swarm::format_index(format)].gaussian_noise;
  return error / square / noise;
}

bool same_bytes(const nash_swarm::PackedMatrix& a, const nash_swarm::PackedMatrix& b) {
  return std::ranges::equal(a.codes(), b.codes()) &&
         std::ranges::equal(a.row_scales(), b.row_scales(), {}, &nash_swarm::BFloat16::bits,
                            &nash_swarm::BFloat16::bits);
}

}  // namespace

TEST_CASE("bad moments: singular ones lower the error of the output and keep the weights") {
  const Row many = support::correlated(300, in_features, 2);
  Row dead = many;  // every other channel is never used
  for (std::size_t i = 0; i < dead.size(); ++i) dead[i] *= i % 2 == 0 ? 0.0f : 1.0f;
  Row same;  // one token, again and again
  for (std::size_t t = 0; t < 300; ++t)
    same.insert(same.end(), many.begin(), many.begin() + in_features);
  const Row few(many.begin(), many.begin() + 3 * in_features);
  const Row one(many.begin(), many.begin() + in_features);
  Row outlier = many;  // one channel far larger than all others
  for (std::size_t t = 0; t < 300; ++t) outlier[t * in_features + 9] *= 1e6f;
  struct Named {
    const char* name;
    const Row& x;
  };
  for (const Named& named : {Named{"dead", dead}, Named{"same", same}, Named{"few", few},
                             Named{"one", one}, Named{"outlier", outlier}}) {
    const Row& x = named.x;
    const InputMoment moment = moment_of(x);
    for (const char* format : {"b2_l2", "b2_l6", "b3_hash16", "linear8"}) {
      CAPTURE(named.name);
      CAPTURE(std::string(format));
      const InputMoment unknown("w", in_features);
      const auto made = packed(moment, format);
      CHECK(output_error(made, x) < 0.5 * output_error(packed(unknown, format), x));
      CHECK(weight_error(made, format) < 2.0);
    }
  }
}

TEST_CASE("bad moments: inputs that are always 0 are rounded as if nothing were known") {
  const InputMoment zeros = moment_of(Row(5 * in_features));
  const InputMoment unknown("w", in_features);
  for (const char* format : {"b2_l2", "b2_l6", "linear8"}) {
    CHECK(same_bytes(packed(zeros, format), packed(unknown, format)));
  }
  // What reads nothing but zeros loses nothing, and gets the fewest bytes.
  nash_swarm::Model model;
  model.add("zeros", rows_of(weights(), in_features), zeros, serial);
  model.add("unknown", rows_of(weights(), in_features), unknown, serial);
  const nash_swarm::Plan plan = nash_swarm::allocate(model, nash_swarm::Budget::bits(4.0));
  CHECK(plan.predicted_loss() > 0.0);
  CHECK(plan.predicted_loss() < static_cast<double>(out_features * in_features));
  CHECK(nash_swarm::planned_bytes({plan["zeros"]}) <
        nash_swarm::planned_bytes({plan["unknown"]}) / 4);
}

TEST_CASE("bad moments: the size of the inputs does not matter, up to the limits of float32") {
  const Row x = support::correlated(100, in_features, 2);
  const auto expected = packed(moment_of(x), "b3_l3");
  for (const int exponent : {-40, 58}) {
    CAPTURE(exponent);
    Row scaled = x;
    for (float& value : scaled) value = std::ldexp(value, exponent);
    CHECK(same_bytes(packed(moment_of(scaled), "b3_l3"), expected));
  }
  InputMoment moment("w", in_features);
  Row huge = x;
  huge[7 * in_features + 5] = 1e20f;
  CHECK(message_of([&] { moment.add(rows_of(huge, in_features), serial); }) ==
        "w: calibration inputs of channel 5 are too large for their squares to be summed; scale "
        "them down");
  CHECK(message_of([&] { packed(moment, "b3_l3"); }).starts_with("w: the moment of channels [5, "));
}

TEST_CASE("bad moments: inputs that are not finite leave the moments as they were") {
  const Row x = support::correlated(100, in_features, 2);
  InputMoment moment = moment_of(x);
  Row wrong = x;
  wrong[3 * in_features + 66] = no_number;
  CHECK(message_of([&] { moment.add(rows_of(wrong, in_features), serial); }) ==
        "w: calibration input at [3, 66] is not finite; check the model and its text");
  CHECK(moment.count() == 100);
  CHECK(same_bytes(packed(moment, "b3_l3"), packed(moment_of(x), "b3_l3")));
}

TEST_CASE("bad moments: those of no inputs are refused, by channel") {
  const auto message = [](const InputMoment& moment) {
    const std::string packing = message_of([&] { packed(moment, "b3_l3"); });
    nash_swarm::Model model;
    CHECK(message_of([&] { model.add("w", rows_of(weights(), in_features), moment, serial); }) ==
          packing);
    return packing;
  };
  const char* const remedy = "; check the inputs that it was gathered from";
  CHECK(message(moment_with(1e9f, 70, 3, no_number)) ==
        std::string("w: the moment of channels [70, 3] is nan") + remedy);
  CHECK(message(moment_with(1e9f, 70, 70, -std::numeric_limits<float>::infinity())) ==
        std::string("w: the moment of channels [70, 70] is -inf") + remedy);
  CHECK(message(moment_with(1e9f, 70, 70, -2e9f)) ==
        std::string("w: the moment of channels [70, 70] is -2.000000") + remedy);
  CHECK(message(moment_with(1e9f, 70, 3, 1e12f)) ==
        "w: the moments are not positive semidefinite; gather them again, from the inputs "
        "themselves");
  // What float32 sums may have rounded away is damped.
  CHECK(message(moment_with(1e9f, 70, 3, 1.001e9f)).empty());
  const InputMoment indefinite = moment_with(1e9f, 70, 3, 1.001e9f);
  CHECK(weight_error(packed(indefinite, "b3_l3"), "b3_l3") < 1.5);
}

TEST_CASE("bad moments: gradients that are not finite are refused, by row or channel") {
  const Row x = support::correlated(40, in_features, 3);
  const Row dy = gaussian(40 * out_features, 4);
  GradientMoment gradients("w", out_features, in_features, 16);
  gradients.add(rows_of(x, in_features), rows_of(dy, out_features), serial);
  const double before = gradients.row_square(0);
  Row wrong = dy;
  wrong[5 * out_features + 7] = no_number;
  CHECK(message_of([&] {
          gradients.add(rows_of(x, in_features), rows_of(wrong, out_features), serial);
        }) == "w: the gradient of row 7 is not finite; check the model and its text");
  CHECK(gradients.row_square(0) == before);
  CHECK(gradients.sequences() == 1);
  CHECK(message_of([&] {
          gradients.add_gradient(rows_of(Row(out_features * in_features), in_features), 0, serial);
        }) == "w: a gradient of no token; leave out empty sequences");

  std::vector<double> squares(gradients.row_squares().begin(), gradients.row_squares().end());
  squares[9] = std::numeric_limits<double>::quiet_NaN();
  const auto copied_sums = [&] {
    SymmetricSums sums(2, in_features);
    std::ranges::copy(gradients.sums().values(), sums.values().begin());
    return sums;
  };
  CHECK(message_of([&] { GradientMoment("w", 16, copied_sums(), squares, 40, 1); }) ==
        "w: the squared length of row 9 is nan; gather the gradients again");
  squares[9] = 1.0;
  SymmetricSums sums = copied_sums();
  sums.values()[SymmetricSums::floats_of_group(in_features) + 0] = no_number;
  const GradientMoment spoilt("w", 16, std::move(sums), squares, 40, 1);
  const InputMoment inputs = moment_of(x);
  CHECK(message_of([&] {
          packed(MatrixCalibration(inputs, spoilt), "b3_l3");
        }).starts_with("w: the moment of channels [0, 0] is nan"));
}

TEST_CASE("bad moments: rows without a gradient lose nothing, the others as much as ever") {
  const Row x = support::correlated(40, in_features, 3);
  const Row dy = gaussian(40 * out_features, 4);
  Row half = dy;  // the second group of rows is dead
  for (std::size_t i = 0; i < half.size(); ++i) half[i] *= i % out_features < 16 ? 1.0f : 0.0f;
  GradientMoment whole("w", out_features, in_features, 16);
  GradientMoment dead("w", out_features, in_features, 16);
  whole.add(rows_of(x, in_features), rows_of(dy, out_features), serial);
  dead.add(rows_of(x, in_features), rows_of(half, out_features), serial);
  const InputMoment inputs = moment_of(x);
  const InputBasis basis("w.input", in_features, 64, 1);
  const auto payoff = [&](const MatrixCalibration& calibration) {
    return nash_swarm::matrix_payoff("w", rows_of(weights(), in_features), calibration, basis, 1.0,
                                     serial, {});
  };
  const auto all = payoff({inputs, whole});
  const auto some = payoff({inputs, dead});
  const std::size_t format = nash_swarm::format_index("b3_l3");
  CHECK(some.cell_loss(0, 1, format) == doctest::Approx(all.cell_loss(0, 1, format)).epsilon(0.3));
  CHECK(some.cell_loss(1, 1, format) == 0.0);
  CHECK(weight_error(packed({inputs, dead}, "b3_l3"), "b3_l3") < 2.0);

  // Gradients alone tell losses in nats as well.
  const InputMoment unknown("w", in_features);
  CHECK(payoff({unknown, whole}).loss(format) > 0.3 * all.loss(format));
  CHECK(payoff({unknown, whole}).loss(format) < 3.0 * all.loss(format));
}

TEST_CASE("bad moments: an importance that is no number of 0 or more is refused") {
  const InputMoment unknown("w", in_features);
  for (const double importance :
       {-1.0, static_cast<double>(no_number), std::numeric_limits<double>::infinity()}) {
    nash_swarm::Model model;
    CHECK(message_of([&] {
            model.add("w", rows_of(weights(), in_features), unknown, serial, importance);
          }).starts_with("w: an importance of "));
  }
}
