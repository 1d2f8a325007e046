#include <nash_swarm/rounding/error_feedback.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/matmul.hpp>
#include <nash_swarm/rounding/nearest.hpp>

#include "io/support.hpp"
#include "support/gaussian.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::CellMap;
using nash_swarm::ErrorFeedback;
using nash_swarm::InputBasis;
using nash_swarm::InputMoment;
using nash_swarm::PackedMatrix;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;

/// Inputs whose neighbouring channels are strongly correlated.
Row correlated(std::size_t tokens, std::size_t in, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  Row values(tokens * in);
  for (std::size_t t = 0; t < tokens; ++t) {
    float previous = normal(engine);
    for (std::size_t k = 0; k < in; ++k) {
      previous = 0.95f * previous + 0.3f * normal(engine);
      values[t * in + k] = previous;
    }
  }
  return values;
}

InputMoment moment_of(const Row& x, std::size_t in) {
  InputMoment moment("w", in);
  moment.add(rows_of(x, in), serial);
  return moment;
}

PackedMatrix pack(const Row& weights, const std::shared_ptr<const InputBasis>& basis,
                  unsigned format, const ErrorFeedback* feedback) {
  const std::size_t in = basis->in_features();
  const CellMap cells(nash_swarm::panel_count(weights.size() / in), nash_swarm::block_count(in),
                      static_cast<nash_swarm::FormatId>(format));
  return nash_swarm::round_matrix(
      "w", rows_of(weights, in), basis, cells,
      feedback == nullptr ? nash_swarm::PanelFeedback() : nash_swarm::PanelFeedback(*feedback),
      serial);
}

/// Sum over rows of e H e for the errors e of a packed matrix.
double output_error(const PackedMatrix& packed, const Row& weights, const InputMoment& moment) {
  const std::size_t in = moment.in_features();
  double sum = 0.0;
  Row error(in);
  for (std::size_t row = 0; row < weights.size() / in; ++row) {
    nash_swarm::decode_row(packed, row, nash_swarm::TensorView<float, 1>(error.data(), {in}));
    for (std::size_t k = 0; k < in; ++k) error[k] = weights[row * in + k] - error[k];
    for (std::size_t a = 0; a < in; ++a) {
      for (std::size_t b = 0; b < in; ++b) {
        sum += static_cast<double>(error[a]) * moment(a, b) * static_cast<double>(error[b]);
      }
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("error feedback: the loss is the sum of what the targets are missed by") {
  constexpr std::size_t in = 380;  // three bands of the decomposition
  constexpr std::size_t tokens = 900;
  const InputMoment moment = moment_of(correlated(tokens, in, 1), in);
  for (const std::size_t rotation : {0u, 64u, 128u}) {
    CAPTURE(rotation);
    const InputBasis basis("w.input", in, rotation, 3, support::random_permutation(in, 2));
    const ErrorFeedback feedback(moment, basis);
    REQUIRE(!feedback.none());
    const std::size_t channels = basis.padded_features();
    REQUIRE(feedback.channels() == channels);
    const Row error = gaussian(channels, 4);

    double by_channels = 0.0;
    double square = 0.0;
    for (std::size_t j = 0; j < channels; ++j) {
      double missed = static_cast<double>(error[j]);
      for (std::size_t i = 0; i < j; ++i) {
        missed += static_cast<double>(feedback.from(i)[j]) * static_cast<double>(error[i]);
      }
      by_channels += feedback.weight(j) * missed * missed;
      square += static_cast<double>(error[j]) * static_cast<double>(error[j]);
    }

    Row values = error;
    Row back(in);
    nash_swarm::from_basis(basis, values.data(), back.data());
    double directly = square * moment.trace() / static_cast<double>(channels) / std::sqrt(tokens);
    for (std::size_t a = 0; a < in; ++a) {
      for (std::size_t b = 0; b < in; ++b) {
        directly += static_cast<double>(back[a]) * moment(a, b) * static_cast<double>(back[b]);
      }
    }
    CHECK(by_channels == doctest::Approx(directly).epsilon(1e-4).scale(0.0));
  }
}

TEST_CASE("error feedback: correlated inputs lose less") {
  constexpr std::size_t in = 192;
  const Row weights = gaussian(40 * in, 5);
  const InputMoment moment = moment_of(correlated(2000, in, 6), in);
  const auto basis = std::make_shared<const InputBasis>("w.input", in, 64, 1);
  const ErrorFeedback feedback(moment, *basis);
  for (const unsigned format : {2u, 3u, 4u, 6u}) {
    CAPTURE(format);
    const double nearest = output_error(pack(weights, basis, format, nullptr), weights, moment);
    const double moved = output_error(pack(weights, basis, format, &feedback), weights, moment);
    CHECK(moved < 0.6 * nearest);
  }
}

TEST_CASE("error feedback: white or unknown inputs change little or nothing") {
  constexpr std::size_t in = 64;
  const Row weights = gaussian(16 * in, 7);
  const auto basis = std::make_shared<const InputBasis>("w.input", in, 64, 1);
  const ErrorFeedback nothing(InputMoment("w", in), *basis);
  CHECK(nothing.none());
  CHECK(nothing.weight(63) == 1.0);
  const PackedMatrix nearest = pack(weights, basis, 3, nullptr);
  const PackedMatrix same = pack(weights, basis, 3, &nothing);
  CHECK(std::equal(nearest.codes().begin(), nearest.codes().end(), same.codes().begin()));

  const InputMoment white = moment_of(gaussian(20000 * in, 8), in);
  const ErrorFeedback feedback(white, *basis);
  const double moved = output_error(pack(weights, basis, 3, &feedback), weights, white);
  CHECK(moved == doctest::Approx(output_error(nearest, weights, white)).epsilon(0.05));
}

TEST_CASE("error feedback: dead channels, single tokens, zeros and outliers stay finite") {
  constexpr std::size_t in = 70;
  const auto basis = std::make_shared<const InputBasis>("w.input", in, 128, 1);
  CHECK(ErrorFeedback(moment_of(Row(3 * in), in), *basis).none());  // all channels are dead

  Row weights = gaussian(18 * in, 9);
  std::fill_n(weights.begin() + 2 * in, in, 0.0f);
  std::fill_n(weights.begin() + 3 * in, in, 0.5f);
  std::fill_n(weights.begin() + 4 * in, in, 1e-41f);
  weights[5 * in + 6] = 3e6f;
  Row half_dead = correlated(40, in, 10);
  for (std::size_t i = 0; i < half_dead.size(); ++i) half_dead[i] *= i % 2 == 0 ? 0.0f : 1.0f;
  for (const Row& x : {Row(correlated(1, in, 11)), half_dead, Row(in, 1e-20f)}) {
    const InputMoment moment = moment_of(x, in);
    const ErrorFeedback feedback(moment, *basis);
    for (const unsigned format : {0u, 2u, 4u, 8u, 16u}) {
      CAPTURE(format);
      const PackedMatrix packed = pack(weights, basis, format, &feedback);
      CHECK(std::isfinite(output_error(packed, weights, moment)));
      Row row(in);
      nash_swarm::decode_row(packed, 2, nash_swarm::TensorView<float, 1>(row.data(), {in}));
      for (const float value : row) CHECK(value == 0.0f);
    }
  }
}

TEST_CASE("error feedback: the same bytes for any number of threads") {
  constexpr std::size_t in = 384;
  const Row weights = gaussian(100 * in, 12);
  const auto basis = std::make_shared<const InputBasis>("w.input", in, 128, 1);
  const InputMoment moment = moment_of(correlated(500, in, 13), in);
  const ErrorFeedback feedback(moment, *basis);
  const PackedMatrix expected = pack(weights, basis, 3, &feedback);
  const CellMap cells(nash_swarm::panel_count(100), in / 64, nash_swarm::FormatId{3});
  nash_swarm::ThreadPool pool(3);
  const ErrorFeedback shared_out(moment, *basis, pool);
  for (std::size_t i = 0; i < in; ++i) {
    CHECK(shared_out.weight(i) == feedback.weight(i));
    CHECK(shared_out.reach(i) == feedback.reach(i));
    CHECK(std::equal(feedback.from(i), feedback.from(i) + in, shared_out.from(i)));
  }
  const PackedMatrix packed =
      nash_swarm::round_matrix("w", rows_of(weights, in), basis, cells, feedback, pool);
  CHECK(std::equal(expected.codes().begin(), expected.codes().end(), packed.codes().begin()));
  for (std::size_t row = 0; row < 100; ++row) {
    CHECK(packed.row_scales()[row].bits == expected.row_scales()[row].bits);
  }
}

TEST_CASE("error feedback: moments of another matrix are refused") {
  const InputBasis basis("w.input", 64, 64, 1);
  CHECK(nash_swarm::test::message_of([&] { ErrorFeedback(InputMoment("q", 65), basis); }) ==
        "q: moments of 65 channels for a basis of 64");
}
