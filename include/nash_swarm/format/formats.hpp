#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <nash_swarm/format/format.hpp>
#include <nash_swarm/format/hash_code.hpp>
#include <nash_swarm/format/linear_code.hpp>
#include <nash_swarm/format/raw_code.hpp>
#include <nash_swarm/format/scalar_code.hpp>
#include <nash_swarm/format/sum_code.hpp>
#include <nash_swarm/format/table_code.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// A list of formats as a type; `FormatList<...>::map<Table>()` calls `Table::template of<F>()` for
/// each and gives the results as an array, which is how every table over formats is made.
template <BlockFormat... F>
struct FormatList {
  static constexpr std::size_t size = sizeof...(F);
  template <class Table>
  static constexpr auto map() {
    return std::array{Table::template of<F>()...};
  }
};

/// The formats of the library, by bytes. A new one is one struct and one entry here.
using Formats =
    FormatList<PrunedCode, TableCode<1, 4>, TableCode<1, 6>, TableCode<1, 8>, SumCode<1>,
               HashCode<Hash16, 2>, HashCode<Hash32, 2>, HashCode<Hash16, 3>, HashCode<Hash32, 3>,
               ScalarCode<2>,
               TableCode<2, 4>, TableCode<2, 6>, TableCode<2, 8>, SumCode<2>, HashCode<Hash16, 4>,
               HashCode<Hash32, 4>, HashCode<Hash16, 5>, HashCode<Hash32, 5>, ScalarCode<3>,
               TableCode<3, 4>, TableCode<3, 6>, TableCode<3, 8>, SumCode<3>, HashCode<Hash16, 6>,
               HashCode<Hash32, 6>, HashCode<Hash16, 7>, HashCode<Hash32, 7>, ScalarCode<4>,
               TableCode<4, 6>, TableCode<4, 8>, SumCode<4>, HashCode<Hash16, 8>,
               HashCode<Hash32, 8>, LinearCode<5>, LinearCode<6>, LinearCode<8>, RawCode>;

}  // namespace NASH_SWARM_TARGET

/// A row of the format table: the members of a format with its type erased.
struct Format {
  FormatId id;
  std::string_view name;
  std::size_t block_bytes;  ///< bytes of a block of 16 rows × 64 channels
  float unit;
  double gaussian_noise;
  WindowFamily family;  ///< none for scalar formats
  unsigned twice_bits;  ///< of window codes: twice the bits that a weight adds
  void (*decode)(const std::byte*, BlockValues&) noexcept;
  void (*decode_rows)(const std::byte*, std::size_t first, std::size_t count, RowValues*) noexcept;
  void (*encode)(const BlockCodes&, std::byte*) noexcept;

  NASH_SWARM_KEYED constexpr double bits_per_weight() const noexcept {
    return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_weights);
  }
};

namespace detail {
inline namespace NASH_SWARM_TARGET {
struct FormatTable {
  template <BlockFormat F>
  static constexpr Format of() {
    WindowFamily family = WindowFamily::none;
    unsigned twice_bits = 0;
    if constexpr (WindowFormat<F>) {
      family = F::family;
      twice_bits = F::twice_bits;
    }
    return {F::id,  F::name,    F::block_bytes,   F::unit,         F::gaussian_noise,
            family, twice_bits, &decode_block<F>, &F::decode_rows, &F::encode};
  }
};
}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

inline constexpr std::size_t format_count = Formats::size;

inline constexpr std::array<Format, format_count> format_table =
    Formats::map<detail::FormatTable>();

}  // namespace NASH_SWARM_TARGET

namespace detail {
inline namespace NASH_SWARM_TARGET {
/// [256] places of formats by their numbers.
constexpr std::array<std::uint8_t, 256> format_places() noexcept {
  std::array<std::uint8_t, 256> places{};
  places.fill(static_cast<std::uint8_t>(format_count));
  for (std::size_t f = 0; f < format_count; ++f) {
    places[static_cast<std::size_t>(format_table[f].id)] = static_cast<std::uint8_t>(f);
  }
  return places;
}
inline constexpr std::array<std::uint8_t, 256> places_of_formats = format_places();
}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Place of a format in `format_table`, or `format_count` if there is none with that number.
constexpr std::size_t format_index(FormatId id) noexcept {
  return detail::places_of_formats[static_cast<std::size_t>(id)];
}

/// Place of a format in `format_table`, or `format_count` if there is none of that name.
constexpr std::size_t format_index(std::string_view name) noexcept {
  std::size_t index = 0;
  while (index < format_count && format_table[index].name != name) ++index;
  return index;
}

/// True if every format is found by its number and by its name.
constexpr bool formats_are_distinct() noexcept {
  for (std::size_t f = 0; f < format_count; ++f) {
    if (format_index(format_table[f].id) != f || format_index(format_table[f].name) != f) {
      return false;
    }
  }
  return true;
}
static_assert(formats_are_distinct());

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
