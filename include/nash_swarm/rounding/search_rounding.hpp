#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/rounding/beam_search.hpp>
#include <nash_swarm/rounding/feedback_rounding.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// True if a block has codes that form streams, which have to be searched for.
inline bool has_streams(std::span<const FormatId> formats) noexcept {
  return std::any_of(formats.begin(), formats.end(), [](FormatId id) {
    return format_table[format_index(id)].family != StreamFamily::none;
  });
}

/// The sums of `round_channels` for rows that are rounded already.
/// @param weights [16, channels]
/// @param rounded [16, channels]
inline std::array<FeedbackSums, panel_rows> rounded_sums(const float* weights, const float* rounded,
                                                         std::size_t channels,
                                                         const ErrorFeedback* feedback) {
  AlignedBuffer<PanelColumn> errors(channels);
  AlignedBuffer<PanelColumn> values(channels);
  std::array<FeedbackSums, panel_rows> sums{};
  for (std::size_t j = 0; j < channels; ++j) {
    PanelColumn error;
    PanelColumn value;
    const double weight = feedback == nullptr ? 1.0 : feedback->weight(j);
    for (std::size_t row = 0; row < panel_rows; ++row) {
      value[row] = rounded[row * channels + j];
      error[row] = weights[row * channels + j] - value[row];
      sums[row].add(weight, static_cast<double>(error[row] + errors[j][row]),
                    static_cast<double>(value[row] + values[j][row]));
    }
    if (feedback == nullptr) continue;
    add_shares(feedback->from(j), j, error, errors);
    add_shares(feedback->from(j), j, value, values);
  }
  return sums;
}

/// Rounds the rows of a panel by the beam search. The search works at the root mean square of a
/// row, which is right for the Gaussian weights of a rotated basis; then scales are refitted by
/// least squares under the moments.
/// @param rotated [16, channels]
/// @param feedback nullptr for none
/// @param codes receives [16, channels]
/// @param scales receives the scales of the rows
/// @return what the errors cost, over all rows, before scales are refitted
inline double round_panel_by_search(const float* rotated, std::span<const FormatId> formats,
                                    const ErrorFeedback* feedback, std::uint16_t* codes,
                                    BFloat16* scales) {
  const std::size_t channels = formats.size() * block_channels;
  AlignedBuffer<float> weights(channels);
  AlignedBuffer<float> rounded(panel_rows * channels);
  const auto memory = std::make_unique<BeamMemory>();
  PanelColumn current;
  for (std::size_t row = 0; row < panel_rows; ++row) {
    const std::span<const float> source{rotated + row * channels, channels};
    scales[row] = to_bfloat16(row_statistics(source, formats).root_mean_square);
    current[row] = to_float(scales[row]);
    const float inverse = current[row] > 0.0f ? 1.0f / current[row] : 0.0f;
    for (std::size_t k = 0; k < channels; ++k) weights[k] = source[k] * inverse;
    float* values = rounded.data() + row * channels;
    BeamSearch({{weights.data(), channels}, formats, feedback, codes + row * channels, values},
               *memory, widest_instruction_set())
        .run();
    for (std::size_t k = 0; k < channels; ++k) values[k] *= current[row];
  }
  return refit_scales(current, rounded_sums(rotated, rounded.data(), channels, feedback), scales);
}

/// Rounds the rows of a panel with feedback, by search if there are streams. (Without feedback
/// there have to be.)
/// @return what the errors cost, over all rows
inline double round_panel_codes(const float* rotated, std::span<const FormatId> formats,
                                const ErrorFeedback* feedback, std::uint16_t* codes,
                                BFloat16* scales) {
  if (has_streams(formats)) return round_panel_by_search(rotated, formats, feedback, codes, scales);
  return round_panel_with_feedback(rotated, formats, *feedback, codes, scales);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
