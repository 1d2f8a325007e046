#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace transformer {

/// Windows of calibration text, evenly spaced, at most `most_tokens` in all but at least one.
std::vector<std::int32_t> calibration_windows(std::span<const std::int32_t> tokens,
                                              std::size_t context, std::size_t most_tokens);

/// Evenly spaced windows of the same text, for measurements that the calibration must not flatter:
/// of those that `calibration_windows` leaves out, or of them all if it leaves out none.
/// @param calibration_tokens what `calibration_windows` was asked for
std::vector<std::int32_t> held_out_windows(std::span<const std::int32_t> tokens,
                                           std::size_t context, std::size_t calibration_tokens,
                                           std::size_t most_tokens);

}  // namespace transformer
