#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <nash_swarm/kernel/window_index.hpp>

namespace nash_swarm {
namespace detail {

/// Bits of a packed vector that are part of the index of a table, moved all together.
struct IndexPart {
  bool high = false;      ///< of the higher plane
  bool before = false;    ///< of the packed vector before that of the codes
  std::uint8_t bits = 0;  ///< where they are in their byte
  int shift = 0;          ///< places up, or down if negative

  NASH_SWARM_KEYED constexpr unsigned moved_bits() const noexcept {
    return shift < 0 ? bits >> -shift : static_cast<unsigned>(bits) << shift;
  }
};

/// How the index of the window of one vector, 0 … 7 of a half block, is put together where a table
/// is looked up by `placed_index_bits` bits, in any order, and may have a copy of every entry for
/// each value of those that do not count: most bits stay where they are.
struct IndexPlan {
  std::array<IndexPart, 6> parts{};
  std::size_t count = 0;

  /// The bits of the index that come from the first parts.
  NASH_SWARM_KEYED constexpr unsigned bits_of(std::size_t first_parts) const noexcept {
    unsigned bits = 0;
    for (std::size_t i = 0; i < first_parts; ++i) bits |= parts[i].moved_bits();
    return bits;
  }
};

inline constexpr unsigned placed_index_bits = 6;

/// Shifts, as they are tried: in this order few of them serve all vectors of a block.
inline constexpr std::array<int, 15> shift_order = {0, 1, -2, -6, -7, 4, -3, -4,
                                                    5, 6, 3,  7,  -5, 2, -1};

inline namespace NASH_SWARM_TARGET {

/// A bit of a code, counted from the lowest of the newest code of a window.
struct CodeBit {
  bool high;
  bool before;
  unsigned bit;  ///< of the byte of the packed vector
};

/// Where a bit of a window lies in the planes, for a vector of a half block.
constexpr CodeBit code_bit(unsigned bits, unsigned low_width, unsigned vector,
                           unsigned window_bit) noexcept {
  const unsigned age = window_bit / bits;
  const unsigned bit = window_bit % bits;
  const bool high = bit >= low_width;
  const unsigned width = high ? bits - low_width : low_width;
  const int place = static_cast<int>(vector * width % 8 + (high ? bit - low_width : bit)) -
                    static_cast<int>(age * width);
  return {high, place < 0, static_cast<unsigned>(place < 0 ? place + 8 : place)};
}

/// Chooses the shifts of the parts from `part` on, so that no two bits meet.
constexpr bool place_parts(IndexPlan& plan, std::size_t part) noexcept {
  if (part == plan.count) return true;
  const unsigned taken = plan.bits_of(part);
  IndexPart& own = plan.parts[part];
  for (const int shift : shift_order) {
    own.shift = shift;
    const unsigned moved = own.moved_bits();
    const bool whole = shift >= 0 || moved << -shift == own.bits;
    if (whole && moved >> placed_index_bits == 0 && (moved & taken) == 0 &&
        place_parts(plan, part + 1)) {
      return true;
    }
  }
  return false;
}

/// Collects what lies in one packed vector as one part, or if `split` the newest code as another.
constexpr IndexPlan index_parts(unsigned bits, unsigned low_width, unsigned window_bits,
                                unsigned vector, bool split) noexcept {
  IndexPlan plan;
  for (unsigned i = 0; i < window_bits; ++i) {
    const CodeBit own = code_bit(bits, low_width, vector, i);
    std::size_t p = split && i >= bits ? 1 : 0;
    while (p < plan.count &&
           (plan.parts[p].high != own.high || plan.parts[p].before != own.before)) {
      ++p;
    }
    if (p == plan.count) plan.parts[plan.count++] = {own.high, own.before, 0, 0};
    plan.parts[p].bits = static_cast<std::uint8_t>(plan.parts[p].bits | 1u << own.bit);
  }
  return plan;
}

/// @param bits of a code, of which `low_width` lie in the lower plane
constexpr IndexPlan index_plan(unsigned bits, unsigned low_width, unsigned window_bits,
                               unsigned vector) noexcept {
  IndexPlan plan = index_parts(bits, low_width, window_bits, vector, false);
  if (place_parts(plan, 0)) return plan;
  plan = index_parts(bits, low_width, window_bits, vector, true);
  return place_parts(plan, 0) ? plan : IndexPlan{};
}

/// The window that an index stands for, whatever its bits that do not count.
constexpr unsigned window_of(const IndexPlan& plan, unsigned bits, unsigned low_width,
                             unsigned window_bits, unsigned vector, unsigned index) noexcept {
  unsigned window = 0;
  for (unsigned i = 0; i < window_bits; ++i) {
    const CodeBit own = code_bit(bits, low_width, vector, i);
    for (std::size_t p = 0; p < plan.count; ++p) {
      const IndexPart& part = plan.parts[p];
      const bool is_here = part.bits >> own.bit & 1u;
      if (part.high != own.high || part.before != own.before || !is_here) continue;
      const unsigned place = static_cast<unsigned>(static_cast<int>(own.bit) + part.shift);
      window |= (index >> place & 1u) << i;
    }
  }
  return window;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
