#include "transformer/evaluation_text.hpp"

#include <algorithm>
#include <nash_swarm/core/error.hpp>
#include <optional>
#include <span>

#include "transformer/lines.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using Tokens = std::vector<std::int32_t>;

constexpr std::size_t sample_tokens = 64;

[[noreturn]] void throw_too_short(const std::string& file, std::size_t tokens) {
  throw Error(file, tokens == 0 ? "the text is empty" : "the text is shorter than two tokens",
              "give a longer text");
}

/// Adds the window that reads all of `tokens` but the last one.
void add_window(EvaluationText& text, std::span<const std::int32_t> tokens) {
  text.windows.push_back(
      {Tokens(tokens.begin(), tokens.end() - 1), Tokens(tokens.begin() + 1, tokens.end())});
  text.scored_tokens += tokens.size() - 1;
}

}  // namespace

EvaluationText window_text(std::span<const std::int32_t> tokens, std::size_t context) {
  EvaluationText text;
  text.context = text.stride = context;
  for (std::size_t begin = 0; begin + context <= tokens.size(); begin += context) {
    const auto window = tokens.subspan(begin, context);
    text.windows.push_back(
        {{window.begin(), window.end() - 1}, {window.begin() + 1, window.end()}});
    text.scored_tokens += context - 1;
  }
  return text;
}

EvaluationText full_protocol(const Tokenizer& tokenizer, std::string_view text,
                             const std::string& file, std::size_t context, std::size_t n_ctx,
                             std::size_t max_tokens) {
  if (context == 0 || context > n_ctx) {
    throw Error("--context", std::to_string(context) + " tokens are no window of this model",
                "give 1 to " + std::to_string(n_ctx));
  }
  const Encoded encoded = tokenizer.encode_document(text);
  const std::span<const std::int32_t> tokens = encoded.ids;
  if (tokens.size() < 2) throw_too_short(file, tokens.size());
  EvaluationText result;
  result.file = file;
  result.protocol = "full";
  result.context = result.stride = context;
  result.invalid_bytes = encoded.invalid_bytes;
  const std::size_t all = tokens.size() - 1;
  const std::size_t scored = max_tokens == 0 ? all : std::min(max_tokens, all);
  for (std::size_t begin = 0; begin < scored; begin += context) {
    add_window(result, tokens.subspan(begin, std::min(context, scored - begin) + 1));
  }
  return result;
}

EvaluationText paper_protocol(const Tokenizer& tokenizer, std::string_view text,
                              const std::string& file, std::size_t n_ctx, std::size_t samples) {
  if (samples == 0) throw Error("--samples", "0 samples hold nothing to score", "give 1 or more");
  if (n_ctx < sample_tokens) {
    throw Error(
        "--protocol",
        "paper: a sample of 64 tokens does not fit the model's context of " + std::to_string(n_ctx),
        "use --protocol full");
  }
  const std::optional<std::int32_t> padding = tokenizer.end_of_text();
  if (!padding) {
    throw Error("--protocol", "paper: the vocabulary has no <|endoftext|> to pad samples with",
                "use --protocol full");
  }
  EvaluationText result;
  result.file = file;
  result.protocol = "paper";
  result.context = result.stride = sample_tokens;
  std::size_t tokens = 0;
  while (!text.empty() && result.windows.size() < samples) {
    const std::string_view line = take_line(text);
    if (is_blank(line)) continue;
    Encoded sample = tokenizer.encode_document(line);
    result.invalid_bytes += sample.invalid_bytes;
    tokens += sample.ids.size();
    const std::size_t length = std::min(sample.ids.size(), sample_tokens);
    sample.ids.resize(sample_tokens, *padding);
    add_window(result, sample.ids);
    result.windows.back().padding = sample_tokens - std::max<std::size_t>(length, 1);
    result.padding_tokens += result.windows.back().padding;
  }
  if (tokens < 2) throw_too_short(file, tokens);
  return result;
}

}  // namespace transformer
