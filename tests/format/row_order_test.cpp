#include <nash_swarm/format/row_order.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::RowOrder;
using nash_swarm::test::message_of;

namespace {

RowOrder decode_order(const std::vector<std::uint8_t>& bytes, std::size_t count) {
  return nash_swarm::detail::value_or_raise(nash_swarm::decode_row_order("w", bytes, count));
}

std::string problem_of_order(const std::vector<std::uint8_t>& bytes, std::size_t count) {
  return message_of([&] { decode_order(bytes, count); });
}

}  // namespace

TEST_CASE("row_order: the natural order takes nothing and fits any matrix") {
  const RowOrder natural;
  CHECK(natural.natural());
  CHECK(natural.stored_bytes() == 0);
  CHECK(natural.row_at(77) == 77);
  CHECK(natural.position_of(77) == 77);
  CHECK(nash_swarm::encode_row_order(natural).empty());
  CHECK(decode_order({}, 33) == natural);
  // However it is written.
  CHECK(RowOrder("w", std::vector<std::uint32_t>(16, 0)) == natural);
  std::vector<std::uint32_t> panels(33, 0);
  std::fill(panels.begin() + 16, panels.begin() + 32, 1);
  panels.back() = 2;
  CHECK(RowOrder("w", panels) == natural);
}

TEST_CASE("row_order: by hand") {
  std::vector<std::uint32_t> panels(18, 0);  // the last panel has two rows: 3 and 17
  panels[3] = panels[17] = 1;
  const RowOrder order("w", panels);
  CHECK(order.row_at(3) == 4);
  CHECK(order.row_at(16) == 3);
  CHECK(order.row_at(17) == 17);
  CHECK(order.position_of(3) == 16);
  CHECK(order.panel_of(4) == 0);
  const std::vector<std::uint8_t> bytes{0x08, 0x00, 0x02};
  CHECK(nash_swarm::encode_row_order(order) == bytes);
  CHECK(decode_order(bytes, 18) == order);
}

TEST_CASE("row_order: every row has one place, and what was written comes back") {
  for (const std::size_t count : {17u, 31u, 33u, 40u, 64u, 65u, 300u, 4096u, 4100u}) {
    CAPTURE(count);
    const RowOrder order = support::random_row_order(count, count);
    REQUIRE(order.size() == count);
    int wrong = 0;
    for (std::size_t row = 0; row < count; ++row) {
      const std::size_t position = order.position_of(row);
      wrong += order.row_at(position) == row && position < count ? 0 : 1;
      const bool ascends = position % 16 == 0 || order.row_at(position - 1) < row;
      wrong += ascends ? 0 : 1;
    }
    CHECK(wrong == 0);
    const std::vector<std::uint8_t> bytes = nash_swarm::encode_row_order(order);
    CHECK(bytes.size() == order.stored_bytes());
    CHECK(decode_order(bytes, count) == order);
  }
  CHECK(RowOrder::bytes_of(16) == 0);
  CHECK(RowOrder::bytes_of(33) == 9);       // 2 bits
  CHECK(RowOrder::bytes_of(4096) == 4096);  // 8 bits
  CHECK(RowOrder::bytes_of(4097) == 4610);  // 9 bits
}

TEST_CASE("row_order: damage is refused") {
  const std::vector<std::uint8_t> good =
      nash_swarm::encode_row_order(support::random_row_order(33, 3));
  REQUIRE(good.size() == 9);
  CHECK(problem_of_order(good, 33).empty());
  for (const std::size_t size : {1u, 8u, 10u}) {
    std::vector<std::uint8_t> bytes = good;
    bytes.resize(size);
    CHECK(problem_of_order(bytes, 33).starts_with("w: row order: " + std::to_string(size) +
                                                  " bytes for 33 rows"));
  }
  CHECK(problem_of_order({0}, 16).starts_with("w: row order: 1 bytes for 16 rows"));
  // Panels 0, 0, …, 1, 1, …: the natural order.
  CHECK(problem_of_order({0, 0, 0xff, 0xff}, 32).starts_with("w: row order: the natural one is"));
  // Of any bit: a panel has a row too many, or there is no such panel, or the bit is left over.
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<std::uint8_t> bytes = good;
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ (1u << bit % 8));
    CAPTURE(bit);
    const std::string message = problem_of_order(bytes, 33);
    CHECK(message.starts_with(bit < 66 ? "w: row order, row " : "w: row order: bits are left"));
    CHECK(message.ends_with("the file is damaged or of another version"));
  }
}
