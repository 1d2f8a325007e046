#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/format/formats.hpp>
#include <nash_swarm/rounding/error_feedback.hpp>

namespace nash_swarm {

/// Survivors that the search keeps, on average.
inline constexpr unsigned beam_width = 128;
/// Channels after which the best survivor's choice becomes final.
inline constexpr unsigned beam_lookahead = 32;

namespace detail {

/// Values of all windows of a stream family.
using WindowValues = std::array<std::int8_t, std::size_t{1} << window_bits>;

/// Vectors of the compiler.
template <unsigned Lanes>
struct BeamLanes {
  static constexpr unsigned count = Lanes;
  using Floats [[gnu::vector_size(4 * Lanes)]] = float;
  using Integers [[gnu::vector_size(4 * Lanes)]] = std::int32_t;
  using Bytes [[gnu::vector_size(Lanes)]] = std::int8_t;
};

/// A code and its value.
struct ScalarChoice {
  std::uint16_t code;
  float value;  ///< in units of the row's scale
};

/// What the search has to know of a format.
struct BeamFormat {
  const WindowValues* values = nullptr;               ///< of stream formats
  ScalarChoice (*nearest)(float) noexcept = nullptr;  ///< of scalar ones
  float unit = 1.0f;
  unsigned twice_bits = 0;
  std::size_t streams = 1;
  StreamFamily family = StreamFamily::none;
};

/// One row on its way through the search; everything in units of the row's scale.
struct BeamRow {
  std::span<const float> weights;     ///< [channels] in the basis
  std::span<const FormatId> formats;  ///< by block
  const ErrorFeedback* feedback;      ///< nullptr for none
  std::uint16_t* codes;               ///< receives one per channel
  float* rounded;                     ///< receives the values of the codes
};

/// Partial sequences of codes, structure of arrays.
struct Survivors {
  static constexpr unsigned capacity = 2 * beam_width;
  /// What a survivor's errors of the last channels add to the targets of the next ones; the target
  /// of channel j in place j mod lookahead.
  alignas(64) float pending[capacity][beam_lookahead];
  alignas(64) float cost[capacity];
  std::uint64_t windows[capacity];  ///< 16 bits for every stream
  std::uint64_t recent[capacity];   ///< low 4 bits of the last 16 codes, the last one lowest
  std::uint64_t older[capacity];    ///< of the 16 before
};

/// What one channel offers the survivors.
struct BeamStep {
  alignas(64) float shares[beam_lookahead];  ///< of its error in the targets that follow, by place
  const BeamFormat* format;
  float weight;  ///< of the channel, in units of the scale
  float target;  ///< the weight and what final errors add
  float price;   ///< of a squared error
  unsigned bits;
  unsigned shift;  ///< place of its stream among the windows
  unsigned place;  ///< of the channel in the rings
};

/// Memory of one search.
struct BeamMemory {
  static constexpr unsigned most_children = 16;
  Survivors survivors[2];
  alignas(64) float costs[Survivors::capacity * most_children];
  ScalarChoice choices[Survivors::capacity];
  std::uint16_t picks[Survivors::capacity];
  BeamStep step;
};

}  // namespace detail
}  // namespace nash_swarm
