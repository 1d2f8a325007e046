#include "rank_correlation.hpp"

#include <doctest/doctest.h>

#include <vector>

using Sample = std::vector<double>;

TEST_CASE("rank correlation: of any monotone pairing 1, of its reverse -1") {
  const Sample values{3.0, -1.0, 10.0, 4.0};
  CHECK(rank_correlation(values, Sample{9.0, 1.0, 1e6, 16.0}) == doctest::Approx(1.0));
  CHECK(rank_correlation(values, Sample{-3.0, 1.0, -10.0, -4.0}) == doctest::Approx(-1.0));
}

TEST_CASE("rank correlation: by hand, with values that are equal") {
  CHECK(ranks(Sample{5.0, 1.0, 5.0, 7.0}) == Sample{1.5, 0.0, 1.5, 3.0});
  // Differences of ranks 0, 1, 1, 0: 1 - 6·2 / (4·15)
  CHECK(rank_correlation(Sample{1.0, 2.0, 3.0, 4.0}, Sample{1.0, 3.0, 2.0, 4.0}) ==
        doctest::Approx(0.8));
  CHECK(rank_correlation(Sample{1.0, 2.0}, Sample{3.0, 3.0}) == 0.0);
  CHECK(rank_correlation(Sample{}, Sample{}) == 0.0);
}
