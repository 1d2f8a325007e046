#include <nash_swarm/format/table_code.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include <nash_swarm/format/formats.hpp>

#include "support/lcg.hpp"

namespace ns = nash_swarm;

TEST_CASE_TEMPLATE("table codes: values are those of the windows of each tile's ring", F,
                   ns::TableCode<1, 4>, ns::TableCode<1, 8>, ns::TableCode<2, 4>,
                   ns::TableCode<3, 4>, ns::TableCode<3, 6>, ns::TableCode<2, 8>,
                   ns::TableCode<4, 8>, ns::SumCode<1>, ns::SumCode<2>, ns::SumCode<3>,
                   ns::SumCode<4>) {
  support::Lcg random(F::block_bytes + F::window_bits);
  ns::BlockCodes codes;
  for (auto& row : codes.at) {
    for (auto& code : row) code = static_cast<std::uint16_t>(random.below(1u << F::twice_bits / 2));
  }
  std::vector<std::byte> bytes(F::block_bytes);
  F::encode(codes, bytes.data());
  ns::BlockValues values;
  ns::decode_block<F>(bytes.data(), values);
  int wrong = 0;
  for (std::size_t row = 0; row < 16; ++row) {
    for (std::size_t channel = 0; channel < 64; ++channel) {
      // The codes of the weight and of the eleven before it, around the ring.
      unsigned window = 0;
      for (std::size_t back = 12; back-- > 0;) {
        const std::size_t place = (row * 8 + channel % 8 + 128 - back) % 128;
        window = (window << F::twice_bits / 2 | codes.at[place / 8][channel / 8 * 8 + place % 8]) &
                 0xffffu;
      }
      window %= 1u << F::window_bits;
      wrong += values.at[row][channel] == F::value(static_cast<std::uint16_t>(window)) ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("table codes: values are bytes of seven bits once 64 is added") {
  const auto largest = [](const auto& values) {
    int most = 0;
    for (const std::int8_t value : values) most = std::max(most, std::abs(int{value}));
    return most;
  };
  CHECK(largest(ns::window_tables::b3_l4.values) == 63);
  CHECK(largest(ns::window_tables::b4_l6.values) == 63);
  CHECK(largest(ns::window_tables::b2_l8.values) == 63);
}
