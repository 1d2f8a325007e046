#include <nash_swarm/calibration/input_moment.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include <nash_swarm/core/thread_pool.hpp>

#include "io/support.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

using nash_swarm::InputMoment;
using nash_swarm::test::message_of;
using support::Row;
using support::rows_of;
using support::serial;

TEST_CASE("input moment: two batches by hand") {
  InputMoment moment("q", 3);
  moment.add(rows_of({1, 2, 0, 3, -4, 0}, 3), serial);
  CHECK(moment.count() == 2);
  CHECK(moment.mean_square(0) == 5.0);
  CHECK(moment.mean_square(1) == 10.0);
  CHECK(moment.mean_square(2) == 0.0);
  CHECK(moment.trace() == 15.0);
  moment.add(rows_of({1, 1, 6, 1, 0, 0}, 3), serial);
  CHECK(moment.count() == 4);
  CHECK(moment.mean_square(0) == 3.0);
  CHECK(moment.mean_square(1) == 5.25);
  CHECK(moment.mean_square(2) == 9.0);
  CHECK(moment.trace() == 17.25);
}

TEST_CASE("input moment: without inputs it stands for the identity") {
  const InputMoment moment("q", 5);
  CHECK(moment.name() == "q");
  CHECK(moment.in_features() == 5);
  CHECK(moment.count() == 0);
  CHECK(moment.mean_square(4) == 1.0);
  CHECK(moment.trace() == 5.0);
}

TEST_CASE("input moment: strided inputs") {
  const Row values = {1, 3, 2, -4};  // channels 2 × tokens 2
  InputMoment moment("q", 2);
  moment.add(rows_of(values, 2).transposed(), serial);
  CHECK(moment.mean_square(0) == 5.0);
  CHECK(moment.mean_square(1) == 10.0);
}

TEST_CASE("input moment: NaN and infinity are named by index") {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Row values(5 * 70, 1.0f);
    values[3 * 70 + 66] = bad;
    InputMoment moment("h.0.mlp.c_fc", 70);
    const std::string message = message_of([&] { moment.add(rows_of(values, 70), serial); });
    CHECK(message.starts_with("h.0.mlp.c_fc: "));
    CHECK(nash_swarm::test::contains(message, "[3, 66]"));
  }
}

TEST_CASE("input moment: a wrong number of channels is refused") {
  InputMoment moment("q", 3);
  CHECK(message_of([&] { moment.add(rows_of(Row(8), 4), serial); }) ==
        "q: calibration input of 4 channels for a matrix of 3");
  CHECK(moment.count() == 0);
}

TEST_CASE("input moment: the same for any number of threads") {
  const Row values = support::random_inputs(50, 200, 1);
  InputMoment expected("q", 200);
  expected.add(rows_of(values, 200), serial);
  for (const std::size_t threads : {1u, 2u, 3u}) {
    nash_swarm::ThreadPool pool(threads);
    InputMoment moment("q", 200);
    moment.add(rows_of(values, 200), pool);
    for (std::size_t k = 0; k < 200; ++k) CHECK(moment.mean_square(k) == expected.mean_square(k));
  }
}

TEST_CASE("input moment: two halves merged are the whole, up to rounding") {
  constexpr std::size_t in = 150;
  const Row values = support::random_inputs(40, in, 1);
  const auto rows = [&](std::size_t begin, std::size_t end) {
    return rows_of(values, in).slice(0, begin, end);
  };
  InputMoment whole("q", in), first("q", in), second("q", in);
  whole.add(rows(0, 40), serial);
  first.add(rows(0, 15), serial);
  second.add(rows(15, 40), serial);
  first.merge(second);
  CHECK(first.count() == 40);
  for (std::size_t a = 0; a < in; ++a) {
    for (std::size_t b = 0; b < in; ++b) {
      CHECK(first(a, b) == doctest::Approx(whole(a, b)).epsilon(1e-5).scale(1.0));
    }
  }
  CHECK(first.trace() != doctest::Approx(second.trace()).epsilon(1e-3));
}

TEST_CASE("input moment: moments of another matrix are not merged") {
  InputMoment moment("q", 3);
  moment.add(rows_of({1, 2, 0}, 3), serial);
  CHECK(message_of([&] { moment.merge(InputMoment("q", 4)); }) ==
        "q: moments of 3 channels cannot be merged with those of q, 4 channels");
  CHECK(message_of([&] { moment.merge(InputMoment("k", 3)); }).starts_with("q: "));
  CHECK(moment.count() == 1);
}

TEST_CASE("input moment: restored sums are the same to the bit, and go on") {
  constexpr std::size_t in = 150;
  const Row values = support::random_inputs(40, in, 1);
  InputMoment moment("q", in);
  moment.add(rows_of(values, in).slice(0, 0, 20), serial);
  nash_swarm::SymmetricSums sums(1, in);
  for (std::size_t i = 0; i < sums.values().size(); ++i) {
    sums.values()[i] = moment.sums().values()[i];
  }
  InputMoment other("q", std::move(sums), moment.count());
  for (InputMoment* each : {&moment, &other}) {
    each->add(rows_of(values, in).slice(0, 20, 40), serial);
  }
  CHECK(other.count() == 40);
  for (std::size_t a = 0; a < in; ++a) {
    for (std::size_t b = 0; b < in; ++b) CHECK(other(a, b) == moment(a, b));
  }
  CHECK_FALSE(message_of([&] { InputMoment("q", nash_swarm::SymmetricSums(2, in), 1); }).empty());
}
