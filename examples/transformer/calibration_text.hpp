#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

#include "transformer/tokenizer.hpp"

namespace transformer {

/// The tokens of a calibration text (text_file.hpp).
/// @throws nash_swarm::Error naming the file if it cannot be read or has fewer than two tokens
std::vector<std::int32_t> calibration_tokens(const Tokenizer& tokenizer,
                                             const std::filesystem::path& file);

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
