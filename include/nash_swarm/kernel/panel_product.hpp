#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>
#include <utility>

#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>
#include <nash_swarm/kernel/portable/panel_product.hpp>
#include <nash_swarm/kernel/read_ahead.hpp>

#if NASH_SWARM_DEFINITIONS
#include <algorithm>

#include <nash_swarm/kernel/placed_index.hpp>
#include <nash_swarm/kernel/window_index.hpp>
#if defined(NASH_SWARM_X86_REGIONS)
#include <immintrin.h>
#elif defined(NASH_SWARM_NEON)
#include <arm_neon.h>
#endif
#endif

namespace nash_swarm {
namespace detail {

using nash_swarm::portable::PanelTile;

/// The kernels of an instruction set.
struct PanelProduct {
  /// y [tokens, rows of the panels] of a tile. Its first row of codes is a multiple of
  /// `Activations::group_rows`, and a single one is alone in its group: it is read as such.
  void (*multiply)(const PackedMatrix& matrix, const PanelTile& tile, const Activations& x,
                   TensorView<float, 2> y) noexcept;
  /// What `PanelTile::decoded` is of the panels first_panel … past_panel − 1. None where the
  /// kernels do without.
  void (*decode)(const PackedMatrix& matrix, std::size_t first_panel, std::size_t past_panel,
                 std::uint8_t* decoded) noexcept;
};

#if NASH_SWARM_DEFINITIONS

/// The codes of a row that is alone, by lanes and by pairs of tiles.
struct LaneInputs {
  const std::int8_t* lanes;
  const std::int8_t* pairs;
};

/// What kernels read of a row of codes that is alone.
struct RowInputs {
  const std::int8_t* lanes;
  const std::int8_t* pairs;
  const std::uint32_t* sums_before;
  const float* scales;
  std::size_t blocks_per_scale;

  /// The codes from a block on.
  NASH_SWARM_KEYED LaneInputs from(std::size_t block) const noexcept {
    return {lanes + block * block_channels, pairs + 2 * block * block_channels};
  }
  /// The sum of the codes of some blocks.
  NASH_SWARM_KEYED std::int32_t sum(std::size_t first, std::size_t past) const noexcept {
    return static_cast<std::int32_t>(sums_before[past] - sums_before[first]);
  }
};

/// The product of panels with a tile of tokens, once per instruction set. Sums of a run are exact
/// in integers: at most 256 products of |weight byte| ≤ 255 (two of 7 bits for a hash, 16 bits for
/// raw16) and |activation| ≤ 127. So every set gives the same bits.
namespace products {
inline namespace NASH_SWARM_TARGET {

using nash_swarm::portable::token_tile;

// The order of these files matters.
// clang-format off
#if defined(NASH_SWARM_X86_REGIONS)
#include <nash_swarm/core/region_avx2.inc>
#include <nash_swarm/kernel/avx2/sums.inc>
#include <nash_swarm/kernel/avx2/dot.inc>
#include <nash_swarm/kernel/avx2/vocabulary.inc>
#include <nash_swarm/kernel/products.inc>
#include <nash_swarm/core/region_end.inc>
#include <nash_swarm/core/region_avxvnni.inc>
#include <nash_swarm/kernel/avx2/sums.inc>
#include <nash_swarm/kernel/avxvnni/dot.inc>
#include <nash_swarm/kernel/avx2/vocabulary.inc>
#include <nash_swarm/kernel/products.inc>
#include <nash_swarm/core/region_end.inc>
#include <nash_swarm/core/region_avx512vnni_bw.inc>
#include <nash_swarm/kernel/avx512vnni/vocabulary.inc>
#include <nash_swarm/kernel/avx512vnni_bw/permutations.inc>
#include <nash_swarm/kernel/products.inc>
#include <nash_swarm/core/region_end.inc>
#include <nash_swarm/core/region_avx512vnni.inc>
#include <nash_swarm/kernel/avx512vnni/vocabulary.inc>
#include <nash_swarm/kernel/avx512vnni/permutations.inc>
#include <nash_swarm/kernel/products.inc>
#include <nash_swarm/core/region_end.inc>
#elif defined(NASH_SWARM_NEON)
#define NASH_SWARM_REGION neon
#include <nash_swarm/kernel/neon/dot.inc>
#include <nash_swarm/kernel/neon/vocabulary.inc>
#include <nash_swarm/kernel/products.inc>
#undef NASH_SWARM_REGION
#include <nash_swarm/core/region_neon_dotprod.inc>
#include <nash_swarm/kernel/neon_dotprod/dot.inc>
#include <nash_swarm/kernel/neon/vocabulary.inc>
#include <nash_swarm/kernel/products.inc>
#include <nash_swarm/core/region_end.inc>
#endif
// clang-format on

}  // namespace NASH_SWARM_TARGET
}  // namespace products

#endif

inline namespace NASH_SWARM_TARGET {

/// @tparam List the formats: a parameter, so that kernels are compiled only where they are used
template <class List = Formats>
PanelProduct panel_product_for(InstructionSet set, LineFetch fetch = line_fetch()) noexcept;

#if NASH_SWARM_DEFINITIONS
template <LineFetch fetch, class List>
PanelProduct panel_product_of(InstructionSet set) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (set == InstructionSet::avx512vnni) return products::avx512vnni::kernels<List, fetch>();
  if (set == InstructionSet::avx512vnni_bw) return products::avx512vnni_bw::kernels<List, fetch>();
  if (set == InstructionSet::avxvnni) return products::avxvnni::kernels<List, fetch>();
  if (set == InstructionSet::avx2) return products::avx2::kernels<List, fetch>();
#elif defined(NASH_SWARM_NEON)
  if (set == InstructionSet::neon_dotprod) return products::neon_dotprod::kernels<List, fetch>();
  if (set == InstructionSet::neon) return products::neon::kernels<List, fetch>();
#endif
  static_cast<void>(set);
  return {&nash_swarm::portable::multiply_panels, nullptr};
}

template <class List>
PanelProduct panel_product_for(InstructionSet set, [[maybe_unused]] LineFetch fetch) noexcept {
#if defined(NASH_SWARM_X86_REGIONS)
  if (fetch == LineFetch::in_pairs) return panel_product_of<LineFetch::in_pairs, List>(set);
#endif
  return panel_product_of<LineFetch::single, List>(set);
}
#endif

#if defined(NASH_SWARM_KERNELS_HERE)
template PanelProduct panel_product_for<Formats>(InstructionSet, LineFetch) noexcept;
#elif defined(NASH_SWARM_KERNELS_ELSEWHERE)
extern template PanelProduct panel_product_for<Formats>(InstructionSet, LineFetch) noexcept;
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
