// Weights that no model should have, from `Model::add` to the decoded matrix: a right result of a
// bounded error, or a message that names matrix, place and remedy.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
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

using nash_swarm::InputBasis;
using nash_swarm::InputMoment;
using nash_swarm::test::message_of;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;
using support::Shape;

/// One of every kind and width.
constexpr const char* one_of_each[] = {"pruned",    "b1_hash32", "b2_l2",   "b2_l6", "b3_l3",
                                       "b3_hash16", "b4_l8",     "linear8", "raw16"};

double noise_of(const char* format) {
  return nash_swarm::format_table[nash_swarm::format_index(format)].gaussian_noise;
}

bool is_scalar(const char* format) {
  return nash_swarm::format_table[nash_swarm::format_index(format)].family ==
         nash_swarm::WindowFamily::none;
}

/// Moments of inputs that are correlated, or none.
InputMoment moment_of(std::size_t in, bool known) {
  InputMoment moment("w", in);
  if (known) moment.add(rows_of(support::correlated(300, in, 2), in), serial);
  return moment;
}

Row packed_and_decoded(const Row& weights, Shape shape, std::size_t rotation, const char* format,
                       const InputMoment& moment) {
  const auto basis = std::make_shared<const InputBasis>("w.input", shape.in, rotation, 1);
  const nash_swarm::CellMap cells(nash_swarm::panel_count(shape.out),
                                  nash_swarm::block_count(shape.in),
                                  nash_swarm::format_table[nash_swarm::format_index(format)].id);
  return support::decoded(nash_swarm::pack(
      rows_of(weights, shape.in), {"w", shape.out, shape.in, basis, cells}, moment, serial));
}

/// aᵀHa
double cost(const Row& a, const InputMoment& moment) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t j = 0; j < a.size(); ++j) {
      sum += static_cast<double>(a[i]) * moment(i, j) * static_cast<double>(a[j]);
    }
  }
  return sum;
}

/// What the error of the worst row costs, relative to the row and to the noise of the format on
/// Gaussian weights; infinite for values that are not finite, or where a row of zeros is none.
double worst_error(const Row& weights, const Row& found, const InputMoment& moment,
                   const char* format) {
  const std::size_t in = moment.in_features();
  double worst = 0.0;
  for (std::size_t first = 0; first < weights.size(); first += in) {
    Row row(in);
    Row error(in);
    for (std::size_t k = 0; k < in; ++k) {
      row[k] = weights[first + k];
      error[k] = found[first + k] - row[k];
    }
    const double lost = cost(error, moment);
    const double relative = lost == 0.0 ? 0.0 : lost / cost(row, moment) / noise_of(format);
    worst = std::isfinite(relative) ? std::max(worst, relative)
                                    : std::numeric_limits<double>::infinity();
  }
  return worst;
}

/// Calls check(found, moment, format, rotation) for the matrix packed in every way.
template <class Check>
void for_each_packing(const Row& weights, Shape shape, const Check& check) {
  for (const std::size_t rotation : {std::size_t{0}, InputBasis::widest_rotation(shape.in)}) {
    for (const bool known : {false, true}) {
      const InputMoment moment = moment_of(shape.in, known);
      for (const char* format : one_of_each) {
        CAPTURE(shape.out);
        CAPTURE(shape.in);
        CAPTURE(rotation);
        CAPTURE(known);
        CAPTURE(std::string(format));
        check(packed_and_decoded(weights, shape, rotation, format, moment), moment, format,
              rotation);
      }
    }
  }
}

}  // namespace

TEST_CASE("bad weights: a matrix of zeros is exact in every format") {
  const Row zeros(20 * 70);
  for_each_packing(zeros, {20, 70}, [&](const Row& found, const auto&...) {
    CHECK(std::ranges::all_of(found, [](float value) { return value == 0.0f; }));
  });
}

TEST_CASE("bad weights: constant rows, also beside others, have no more than the usual error") {
  Row weights = gaussian(20 * 70, 1);
  std::fill_n(weights.begin() + 3 * 70, 70, 0.7f);
  std::fill_n(weights.begin() + 17 * 70, 70, -3e-5f);
  for_each_packing(
      weights, {20, 70},
      [&](const Row& found, const InputMoment& moment, const char* format, std::size_t rotation) {
        CHECK(worst_error(weights, found, moment, format) < (rotation == 0 ? 5.0 : 3.0));
      });
}

TEST_CASE("bad weights: one huge outlier spoils its own row little, and no other one") {
  for (const float outlier : {1e3f, -1e30f}) {
    CAPTURE(outlier);
    Row weights = gaussian(20 * 192, 5);
    weights[192 + 50] = outlier;
    for_each_packing(
        weights, {20, 192},
        [&](const Row& found, const InputMoment& moment, const char* format, std::size_t rotation) {
          // Without a rotation few bits cannot hold both an outlier and what is near 0: 4 bits lose
          // a
          // quarter of the row, fewer lose no more than all of it.
          const double noise = noise_of(format);
          const bool narrow = rotation == 0 && noise > 1e-3;
          const double bound = narrow ? (noise < 0.01 ? 0.25 : 1.0) / noise : 5.0;
          CHECK(worst_error(weights, found, moment, format) <= bound);
          Row others = weights;
          Row found_others = found;
          std::fill_n(others.begin() + 192, 192, 0.0f);
          std::fill_n(found_others.begin() + 192, 192, 0.0f);
          CHECK(worst_error(others, found_others, moment, format) < 2.0);
        });
  }
}

TEST_CASE("bad weights: subnormal rows become zeros or keep their usual error") {
  Row weights = gaussian(20 * 192, 5);
  for (std::size_t i = 0; i < 192; ++i) {
    weights[2 * 192 + i] *= 1e-40f;
    weights[3 * 192 + i] = std::numeric_limits<float>::denorm_min();
    if (i % 2 == 0) weights[4 * 192 + i] *= 1e-40f;
  }
  for_each_packing(
      weights, {20, 192},
      [&](const Row& found, const InputMoment& moment, const char* format, std::size_t rotation) {
        // A scale of few bits, or none, stands for the whole of the tiny rows.
        const Row tiny(weights.begin() + 2 * 192, weights.begin() + 4 * 192);
        const Row found_tiny(found.begin() + 2 * 192, found.begin() + 4 * 192);
        CHECK(worst_error(tiny, found_tiny, moment, format) <= 1.001 / noise_of(format));
        if (is_scalar(format)) {
          CHECK(std::ranges::all_of(found_tiny, [](float value) { return value == 0.0f; }));
        }
        const Row others(weights.begin() + 4 * 192, weights.end());
        const Row found_others(found.begin() + 4 * 192, found.end());
        CHECK(worst_error(others, found_others, moment, format) < (rotation == 0 ? 5.0 : 4.0));
      });
}

TEST_CASE("bad weights: one row, one column, and channels that fill no block") {
  for (const Shape shape : {Shape{1, 192}, Shape{20, 1}, Shape{1, 1}, Shape{17, 65}}) {
    const Row weights = gaussian(shape.out * shape.in, 7);
    for_each_packing(
        weights, shape,
        [&](const Row& found, const InputMoment& moment, const char* format, std::size_t rotation) {
          // In a rotated basis the channels that were padded carry weights like all others; else
          // they are zeros, which codes of 2 bits do not have.
          const double bound = rotation == 0 ? std::max(5.0, 0.8 / noise_of(format)) : 3.0;
          CHECK(worst_error(weights, found, moment, format) < bound);
        });
  }
}

TEST_CASE("bad weights: matrices of all these kinds are planned within the budget and packed") {
  struct Named {
    const char* name;
    Shape shape;
    Row weights;
  };
  std::vector<Named> matrices = {{"zeros", {20, 70}, Row(20 * 70)},
                                 {"constant", {20, 70}, Row(20 * 70, 0.7f)},
                                 {"subnormal", {20, 70}, Row(20 * 70, 1e-41f)},
                                 {"outlier", {40, 192}, gaussian(40 * 192, 8)},
                                 {"row", {1, 192}, gaussian(192, 9)},
                                 {"column", {20, 1}, gaussian(20, 10)}};
  matrices[3].weights[100] = 1e20f;
  for (const bool known : {false, true}) {
    CAPTURE(known);
    nash_swarm::Model model(0, {nash_swarm::WindowFamily::table});
    for (const Named& matrix : matrices) {
      model.add(matrix.name, rows_of(matrix.weights, matrix.shape.in),
                moment_of(matrix.shape.in, known), serial);
    }
    const auto budget = nash_swarm::Budget::bits(6.0);
    nash_swarm::Rules rules;
    rules.windows = {nash_swarm::WindowFamily::table};
    const nash_swarm::Plan plan = nash_swarm::allocate(model, budget, rules);
    CHECK(std::isfinite(plan.predicted_loss()));
    CHECK(std::isfinite(plan.certificate().lower_bound));
    CHECK(nash_swarm::planned_bytes(plan.matrices()) <= budget.for_weights(model.weights()));
    for (const Named& matrix : matrices) {
      CAPTURE(std::string(matrix.name));
      const InputMoment moment = moment_of(matrix.shape.in, known);
      const Row found = support::decoded(nash_swarm::pack(rows_of(matrix.weights, matrix.shape.in),
                                                          plan[matrix.name], moment, serial));
      // Relative to the matrix; what is subnormal may become 0.
      const double bound = std::string(matrix.name) == "subnormal" ? 1.001 : 0.3;
      CHECK(worst_error(matrix.weights, found, moment, "pruned") < bound);
    }
  }
}

TEST_CASE("bad weights: no rows, or no basis") {
  nash_swarm::Model model;
  const InputMoment moment = moment_of(65, false);
  CHECK(message_of([&] { model.add("w", rows_of({}, 65), moment, serial); }) ==
        "w: a matrix of 0 rows; leave it out");
  CHECK(message_of([&] {
          model.add("w", rows_of(gaussian(65, 5), 65), moment, nullptr, serial);
        }) == "w: no input basis; make one with Model::input_basis");
  nash_swarm::MatrixPlan empty;
  empty.name = "w";
  CHECK(message_of([&] {
          nash_swarm::pack(rows_of(gaussian(65, 5), 65), empty, moment, serial);
        }) == "w: a plan without an input basis; take one of allocate");
}

TEST_CASE("bad weights: NaN, infinity and what is beyond 2^118 are named, with a remedy") {
  const struct {
    float value;
    std::string message;
  } wrong[] = {
      {std::numeric_limits<float>::quiet_NaN(), "w: NaN at [12, 7]; repair the weights"},
      {-std::numeric_limits<float>::infinity(), "w: infinity at [12, 7]; repair the weights"},
      {-0x1p119f, "w: a weight beyond 2^118 at [12, 7]; scale the weights down"}};
  for (const auto& [value, message] : wrong) {
    for (const bool known : {false, true}) {
      Row weights = gaussian(20 * 65, 5);
      weights[12 * 65 + 7] = value;
      const InputMoment moment = moment_of(65, known);
      nash_swarm::Model model;
      CHECK(message_of([&] { model.add("w", rows_of(weights, 65), moment, serial); }) == message);
      CHECK(model.matrices().empty());
      for (const char* format : {"b3_l3", "b2_l6"}) {
        CHECK(message_of([&] {
                packed_and_decoded(weights, {20, 65}, 64, format, moment);
              }) == message);
      }
    }
  }
  // The largest ones that are taken have the usual error.
  Row weights = gaussian(16 * 256, 6);
  for (float& weight : weights) weight = std::copysign(0x1p118f, weight);
  for_each_packing(weights, {16, 256},
                   [&](const Row& found, const InputMoment& moment, const char* format,
                       std::size_t) { CHECK(worst_error(weights, found, moment, format) < 3.0); });
}
