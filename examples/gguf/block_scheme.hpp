#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <nash_swarm/io/gguf_type.hpp>

namespace gguf {

/// The integers that weights are rounded to before the scale multiplies them.
enum class Levels : std::uint8_t {
  uniform,  ///< all from the lowest to the highest
  iq4       ///< the sixteen of IQ4_NL and IQ4_XS, closer to each other near zero
};

/// How much the error of a weight x counts when a scale is fitted without importances: 1, |x|,
/// |x| and the root of the mean square of the part, or x².
enum class Emphasis : std::uint8_t { even, magnitude, root_plus_magnitude, square };

/// When the scale is fitted by least squares; else it follows from the range of the weights.
enum class Fit : std::uint8_t { never, with_importance, always };

/// How a quantized type of llama.cpp stores a block of weights: as scale · level, or as
/// scale · level + minimum, with a scale for every part of the block. These are facts of the format
/// (ggml-common.h) and of how llama.cpp chooses scales (ggml-quants.c).
struct BlockScheme {
  std::string_view name;  ///< of the type
  std::size_t part;       ///< weights that share a scale; a block is one part or several
  int lowest;             ///< level
  int highest;            ///< level
  Levels levels;
  bool minimum;     ///< parts have one
  int scale_steps;  ///< where a block has parts, their scales are integers in [-steps, steps), or
                    ///< in [0, steps] beside a minimum, which is stored alike, times one number of
                    ///< the block; that one is of half precision, as are scales of blocks of one
                    ///< part
  Fit fit;
  Emphasis emphasis;

  /// Number, weights and bytes of a block.
  const nash_swarm::GgufType& type() const noexcept;
};

/// The schemes of the types that weights are rounded to, by falling bytes.
std::span<const BlockScheme> block_schemes() noexcept;

/// The scheme of a type of that name ("Q4_K"), or nullptr.
const BlockScheme* block_scheme(std::string_view name) noexcept;

}  // namespace gguf
