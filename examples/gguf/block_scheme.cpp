#include "block_scheme.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace gguf {
namespace {

constexpr Levels uniform = Levels::uniform;

// name, part, lowest, highest, levels, minimum, scale_steps, fit, emphasis
constexpr std::array<BlockScheme, 12> schemes{{
    {"Q8_0", 32, -127, 127, uniform, false, 0, Fit::never, Emphasis::even},
    {"Q6_K", 16, -32, 31, uniform, false, 128, Fit::always, Emphasis::square},
    {"Q5_1", 32, 0, 31, uniform, true, 0, Fit::with_importance, Emphasis::even},
    {"Q5_K", 32, 0, 31, uniform, true, 63, Fit::always, Emphasis::root_plus_magnitude},
    {"Q5_0", 32, -16, 15, uniform, false, 0, Fit::with_importance, Emphasis::even},
    {"Q4_1", 32, 0, 15, uniform, true, 0, Fit::with_importance, Emphasis::even},
    {"Q4_K", 32, 0, 15, uniform, true, 63, Fit::always, Emphasis::root_plus_magnitude},
    {"Q4_0", 32, -8, 7, uniform, false, 0, Fit::with_importance, Emphasis::even},
    {"IQ4_NL", 32, -127, 113, Levels::iq4, false, 0, Fit::always, Emphasis::square},
    {"IQ4_XS", 32, -127, 113, Levels::iq4, false, 32, Fit::always, Emphasis::square},
    {"Q3_K", 16, -4, 3, uniform, false, 32, Fit::always, Emphasis::square},
    {"Q2_K", 16, 0, 3, uniform, true, 15, Fit::always, Emphasis::magnitude},
}};

/// Bits of a number with so many values.
constexpr std::uint32_t bits_for(int values) {
  return static_cast<std::uint32_t>(std::bit_width(static_cast<unsigned>(values - 1)));
}

/// What a block of a scheme takes: its levels, its scales (and minima), and their units.
constexpr std::uint32_t bits_of_block(const BlockScheme& scheme, std::uint32_t weights) {
  const int levels = scheme.levels == Levels::iq4 ? 16 : scheme.highest - scheme.lowest + 1;
  const auto parts = static_cast<std::uint32_t>(weights / scheme.part);
  const int scales = scheme.minimum ? scheme.scale_steps + 1 : 2 * scheme.scale_steps;
  const std::uint32_t part_bits = scheme.scale_steps == 0 ? 0 : parts * bits_for(scales);
  return weights * bits_for(levels) + (scheme.minimum ? 2 : 1) * (part_bits + 16);
}

constexpr bool schemes_fill_their_blocks() {
  for (const BlockScheme& scheme : schemes) {
    const nash_swarm::GgufType* const type = nash_swarm::gguf_type_named(scheme.name);
    if (type == nullptr || type->block_weights % scheme.part != 0) return false;
    if ((scheme.scale_steps == 0) != (type->block_weights == scheme.part)) return false;
    if (bits_of_block(scheme, type->block_weights) != 8 * type->block_bytes) return false;
  }
  return true;
}
static_assert(schemes_fill_their_blocks());

}  // namespace

const nash_swarm::GgufType& BlockScheme::type() const noexcept {
  return *nash_swarm::gguf_type_named(name);
}

std::span<const BlockScheme> block_schemes() noexcept {
  return schemes;
}

const BlockScheme* block_scheme(std::string_view name) noexcept {
  for (const BlockScheme& scheme : schemes) {
    if (scheme.name == name) return &scheme;
  }
  return nullptr;
}

}  // namespace gguf
