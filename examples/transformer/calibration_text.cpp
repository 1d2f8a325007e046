#include "transformer/calibration_text.hpp"

#include <algorithm>

#include <nash_swarm/core/error.hpp>

#include "transformer/text_file.hpp"

namespace transformer {
namespace {

/// The places of windows of a text, evenly spaced.
/// @param context that fits the text
std::vector<std::size_t> evenly_spaced(std::size_t available, std::size_t context,
                                       std::size_t most_tokens) {
  const std::size_t wanted =
      available == 0 ? 0 : std::min(available, std::max<std::size_t>(1, most_tokens / context));
  std::vector<std::size_t> places;
  for (std::size_t w = 0; w < wanted; ++w) places.push_back(w * available / wanted);
  return places;
}

std::vector<std::int32_t> windows_at(std::span<const std::int32_t> tokens, std::size_t context,
                                     std::span<const std::size_t> places) {
  std::vector<std::int32_t> windows;
  for (const std::size_t place : places) {
    const auto window = tokens.subspan(place * context, context);
    windows.insert(windows.end(), window.begin(), window.end());
  }
  return windows;
}

std::size_t windows_of(std::span<const std::int32_t> tokens, std::size_t context) {
  return context == 0 ? 0 : tokens.size() / context;
}

}  // namespace

std::vector<std::int32_t> calibration_tokens(const Tokenizer& tokenizer,
                                             const std::filesystem::path& file) {
  std::vector<std::int32_t> tokens = tokenizer.encode_document(read_text(file)).ids;
  if (tokens.size() >= 2) return tokens;
  throw nash_swarm::Error(file.string(), "shorter than two tokens", "give a longer text");
}

std::vector<std::int32_t> calibration_windows(std::span<const std::int32_t> tokens,
                                              std::size_t context, std::size_t most_tokens) {
  context = std::min(context, tokens.size());
  return windows_at(tokens, context,
                    evenly_spaced(windows_of(tokens, context), context, most_tokens));
}

std::vector<std::int32_t> held_out_windows(std::span<const std::int32_t> tokens,
                                           std::size_t context, std::size_t calibration_tokens,
                                           std::size_t most_tokens) {
  context = std::min(context, tokens.size());
  const std::size_t available = windows_of(tokens, context);
  const std::vector<std::size_t> used = evenly_spaced(available, context, calibration_tokens);
  std::vector<std::size_t> left;
  for (std::size_t place = 0; place < available; ++place) {
    if (!std::binary_search(used.begin(), used.end(), place)) left.push_back(place);
  }
  if (left.empty()) left = used;
  std::vector<std::size_t> places;
  for (const std::size_t i : evenly_spaced(left.size(), context, most_tokens)) {
    places.push_back(left[i]);
  }
  return windows_at(tokens, context, places);
}

}  // namespace transformer
