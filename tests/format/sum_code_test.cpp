#include <nash_swarm/format/sum_code.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace ns = nash_swarm;

TEST_CASE("sum codes: every bit of a window is one bit of one index") {
  for (const unsigned bits : {1u, 2u, 3u, 4u}) {
    CAPTURE(bits);
    unsigned seen[ns::sum_table_count] = {};
    for (unsigned bit = 0; bit < 12; ++bit) {
      unsigned ones = 0;
      for (std::size_t table = 0; table < ns::sum_table_count; ++table) {
        const unsigned index = ns::sum_index(bits, table, 1u << bit);
        CHECK((seen[table] & index) == 0);
        seen[table] |= index;
        ones += (index & 1) + (index >> 1 & 1) + (index >> 2 & 1) + (index >> 3 & 1);
      }
      CHECK(ones == 1);
    }
    for (const unsigned indices : seen) CHECK(indices == 15);
  }
}

TEST_CASE("sum codes: the index of older codes is one that newer ones had before") {
  // Two codes of 2 bits later, what table 0 took is what table 1 takes.
  for (unsigned window = 0; window < 256; ++window) {
    CHECK(ns::sum_index(2, 1, window << 4) == ns::sum_index(2, 0, window));
    CHECK(ns::sum_index(2, 2, window << 4) == ns::sum_index(2, 1, window));
    CHECK(ns::sum_index(1, 2, window << 4) == ns::sum_index(1, 1, window));
    CHECK(ns::sum_index(4, 1, window << 4) == ns::sum_index(4, 0, window));
    CHECK(ns::sum_index(3, 1, (window << 6) & 0xfff) == ns::sum_index(3, 0, window & 63));
  }
}

TEST_CASE_TEMPLATE("sum codes: values are bytes of seven bits once 64 is added", F, ns::SumCode<1>,
                   ns::SumCode<2>, ns::SumCode<3>, ns::SumCode<4>) {
  int most = 0;
  for (unsigned window = 0; window < 4096; ++window) {
    int sum = 0;
    for (std::size_t table = 0; table < ns::sum_table_count; ++table) {
      sum += ns::SumOf<F::twice_bits / 2>::tables
                 .entries[table][ns::sum_index(F::twice_bits / 2, table, window)];
    }
    most = std::max(most, std::abs(sum));
    REQUIRE(F::value(static_cast<std::uint16_t>(window)) == sum);
  }
  CHECK(most <= 63);
  CHECK(most >= 60);
}
