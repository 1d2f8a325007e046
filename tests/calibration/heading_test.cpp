#include <nash_swarm/calibration/heading.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include <Eigen/Eigenvalues>

#include <nash_swarm/core/thread_pool.hpp>

#include "io/support.hpp"
#include "support/gaussian.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::HeadingProducts;
using nash_swarm::MeasuredHeadings;
using nash_swarm::test::message_of;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;

constexpr std::size_t components = 200;  // of the output
constexpr std::size_t batch_tokens = 8;
constexpr std::size_t columns = components * batch_tokens;

/// Errors of matrices: a part that every seed repeats, planted by `coherent`, and one of its own
/// for every seed, of mean square 1. Both pass through the tokens' random gains.
struct Planted {
  std::vector<std::vector<double>> coherent;  // [matrices][directions]

  HeadingProducts products(std::size_t batches, unsigned seed) const {
    std::mt19937_64 engine(seed);
    const auto draw = [&](std::size_t size) { return gaussian<double>(size, engine); };
    std::vector<std::vector<double>> directions;
    for (std::size_t k = 0; k < coherent.front().size(); ++k)
      directions.push_back(draw(components));
    std::vector<std::vector<double>> own;
    for (std::size_t r = 0; r < 2 * coherent.size(); ++r) own.push_back(draw(components));
    HeadingProducts products(coherent.size());
    for (std::size_t b = 0; b < batches; ++b) {
      const std::vector<double> gains = draw(columns);
      Row z(2 * coherent.size() * columns);
      for (std::size_t r = 0; r < 2 * coherent.size(); ++r) {
        for (std::size_t i = 0; i < columns; ++i) {
          double value = own[r][i % components];
          for (std::size_t k = 0; k < directions.size(); ++k) {
            value += coherent[r / 2][k] * directions[k][i % components];
          }
          z[r * columns + i] = static_cast<float>(gains[i] * value);
        }
      }
      products.add(rows_of(z, columns), batch_tokens, serial);
    }
    return products;
  }
};

double cosine(const MeasuredHeadings& headings, std::size_t m, std::size_t n) {
  double sum = 0.0;
  for (std::size_t k = 0; k < headings.dimension; ++k) {
    sum += headings.direction[m * headings.dimension + k] *
           headings.direction[n * headings.dimension + k];
  }
  return sum;
}

}  // namespace

TEST_CASE(
    "headings: planted coherent parts are recovered, and who is at right angles is left out") {
  // 0 and 1 point the same way, 2 against them at 120 degrees; 3 is coherent alone, 4 is noise.
  const Planted planted{{{1.0, 0.0, 0.0},
                         {2.0, 0.0, 0.0},
                         {-0.5, std::sqrt(0.75), 0.0},
                         {0.0, 0.0, 1.0},
                         {0.0, 0.0, 0.0}}};
  const HeadingProducts products = planted.products(100, 1);
  CHECK(products.tokens() == 800);
  CHECK(products.loss(0) == doctest::Approx(200.0 / 2 * 2.0).epsilon(0.15));
  CHECK(products.loss(1) == doctest::Approx(200.0 / 2 * 5.0).epsilon(0.15));
  CHECK(products.product(1, 1) == doctest::Approx(200.0 * 4.0).epsilon(0.2));
  CHECK(products.coupled_pairs() == 3);
  const MeasuredHeadings headings = products.headings();
  REQUIRE(headings.coherent.size() == 5);
  CHECK(headings.dimension <= 3);
  CHECK(headings.coherent[0] == doctest::Approx(0.5).epsilon(0.25));
  CHECK(headings.coherent[1] == doctest::Approx(0.8).epsilon(0.2));
  CHECK(headings.coherent[2] == doctest::Approx(0.5).epsilon(0.25));
  CHECK(headings.coherent[3] == 0.0);
  CHECK(headings.coherent[4] == 0.0);
  for (std::size_t m = 0; m < 5; ++m) CHECK(cosine(headings, m, m) == doctest::Approx(1.0));
  CHECK(cosine(headings, 0, 1) > 0.9);
  CHECK(cosine(headings, 0, 2) == doctest::Approx(-0.5).epsilon(0.3));
}

TEST_CASE("headings: what is only noise of the seeds couples nobody") {
  // The text is long, so that products of these two seeds are sure; only their spread over seeds
  // tells that they mean nothing.
  for (unsigned seed = 10; seed < 20; ++seed) {
    CAPTURE(seed);
    const HeadingProducts products =
        Planted{std::vector<std::vector<double>>(12, std::vector<double>{0.0})}.products(40, seed);
    CHECK(products.coupled_pairs() == 0);
    CHECK(products.headings().dimension == 0);
    CHECK(products.headings().direction.empty());
    CHECK(products.headings().coherent == std::vector<double>(12));
  }
}

TEST_CASE("headings: the factor is that of a positive semidefinite matrix next to the products") {
  // Coherent parts of many matrices in few directions: dropping small products leaves a matrix with
  // negative eigenvalues.
  std::mt19937_64 engine(3);
  Planted planted;
  for (std::size_t m = 0; m < 12; ++m) planted.coherent.push_back(gaussian<double>(2, engine));
  const HeadingProducts products = planted.products(60, 4);
  const MeasuredHeadings headings = products.headings();
  CHECK(products.coupled_pairs() > 10);
  CHECK(products.coupled_pairs() < 66);
  REQUIRE(headings.dimension > 0);
  CHECK(headings.dimension < 12);
  for (std::size_t m = 0; m < 12; ++m) {
    CHECK(headings.coherent[m] >= 0.0);
    CHECK(headings.coherent[m] <= 1.0);
    CHECK(cosine(headings, m, m) == doctest::Approx(1.0));
    for (std::size_t n = 0; n < m; ++n) {
      // Pairs that are sure keep their product.
      if (std::abs(products.product(m, n)) < 10.0 * products.standard_error(m, n)) continue;
      const double kept = cosine(headings, m, n) * 2.0 *
                          std::sqrt(headings.coherent[m] * products.loss(m) * headings.coherent[n] *
                                    products.loss(n));
      CHECK(kept == doctest::Approx(products.product(m, n)).epsilon(0.25));
    }
  }
}

TEST_CASE("headings: the same for any number of threads") {
  const Row z = gaussian(2 * 30 * 64, 6);
  HeadingProducts one(30);
  HeadingProducts three(30);
  nash_swarm::ThreadPool pool(3);
  one.add(rows_of(z, 64), 4, serial);
  three.add(rows_of(z, 64), 4, pool);
  for (std::size_t m = 0; m < 30; ++m) {
    for (std::size_t n = 0; n < 30; ++n) CHECK(one.product(m, n) == three.product(m, n));
  }
}

TEST_CASE("headings: shapes that do not fit, and vectors that are not finite, are refused") {
  HeadingProducts products(3);
  const auto message = [&](const Row& z, std::size_t row, std::size_t tokens) {
    return message_of([&] { products.add(rows_of(z, row), tokens, serial); });
  };
  CHECK(message(Row(5 * 8), 8, 1).starts_with("headings: 5 rows"));
  CHECK(message(Row(6 * 8), 8, 0).starts_with("headings: 6 rows of 0 tokens"));
  Row bad(6 * 8);
  bad[4 * 8 + 3] = std::numeric_limits<float>::quiet_NaN();
  CHECK(message(bad, 8, 1).starts_with("headings: vectors of matrix 2 are not finite"));
  CHECK(products.tokens() == 0);
  CHECK(products.headings().dimension == 0);
  CHECK(message(Row(6 * 8), 8, 1).empty());
  CHECK(products.headings().dimension == 0);  // nothing but zeros
  CHECK(HeadingProducts(0).headings().coherent.empty());
}
