#include <nash_swarm/kernel/placed_index.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>

#include "support/lcg.hpp"

using nash_swarm::detail::IndexPart;
using nash_swarm::detail::IndexPlan;

namespace {

/// Codes of a row in 16 vectors, of which the first 8 are those before.
using RowCodes = std::array<unsigned, 16>;

/// Byte `slot` of the packed vectors of some bits of the codes; slot −1 is the last one before.
unsigned packed_byte(const RowCodes& codes, unsigned first_bit, unsigned width, int slot) {
  unsigned byte = 0;
  const unsigned in_a_byte = 8 / width;
  const auto first = static_cast<std::size_t>(8 + slot * static_cast<int>(in_a_byte));
  for (unsigned i = 0; i < in_a_byte; ++i) {
    byte |= (codes[first + i] >> first_bit & ((1u << width) - 1u)) << (width * i);
  }
  return byte;
}

struct Windows {
  unsigned bits;
  unsigned low_width;
  unsigned window_bits;
};

/// The index that a decoder forms, with any bits where none count.
unsigned index_of(const Windows& format, const IndexPlan& plan, const RowCodes& codes,
                  unsigned vector, unsigned junk) {
  unsigned index = junk & ~plan.bits_of(plan.count);
  for (std::size_t p = 0; p < plan.count; ++p) {
    const IndexPart& part = plan.parts[p];
    const unsigned width = part.high ? format.bits - format.low_width : format.low_width;
    const int slot = static_cast<int>(vector * width / 8) - (part.before ? 1 : 0);
    const unsigned byte = packed_byte(codes, part.high ? format.low_width : 0, width, slot);
    const unsigned moved = part.shift < 0 ? byte >> -part.shift : byte << part.shift;
    index |= moved & part.moved_bits();
  }
  return index;
}

}  // namespace

TEST_CASE("placed index: every index tells its window, whatever the bits that do not count") {
  constexpr Windows formats[] = {{1, 1, 4}, {2, 2, 2}, {2, 2, 4}, {3, 2, 3}, {3, 2, 4},
                                 {4, 4, 4}, {1, 1, 6}, {2, 2, 6}, {3, 2, 6}, {4, 4, 6}};
  support::Lcg random(5);
  for (const Windows& format : formats) {
    CAPTURE(format.bits);
    CAPTURE(format.window_bits);
    for (unsigned vector = 0; vector < 8; ++vector) {
      CAPTURE(vector);
      const IndexPlan plan =
          nash_swarm::detail::index_plan(format.bits, format.low_width, format.window_bits, vector);
      REQUIRE(plan.count > 0);
      CHECK(plan.bits_of(plan.count) < 64);
      for (int sample = 0; sample < 50; ++sample) {
        RowCodes codes;
        for (unsigned& code : codes) code = random.below(1u << format.bits);
        unsigned window = 0;
        for (unsigned age = 0; age * format.bits < format.window_bits; ++age) {
          window |= codes[8 + vector - age] << (format.bits * age);
        }
        window &= (1u << format.window_bits) - 1u;
        const unsigned index = index_of(format, plan, codes, vector, random.below(256));
        CHECK(nash_swarm::detail::window_of(plan, format.bits, format.low_width, format.window_bits,
                                            vector, index) == window);
      }
    }
  }
}

TEST_CASE("placed index: what does not fit in six bits has no plan") {
  CHECK(nash_swarm::detail::index_plan(3, 2, 8, 0).count == 0);
}
