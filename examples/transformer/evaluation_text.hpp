#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "transformer/tokenizer.hpp"

namespace transformer {

/// Tokens that a model reads from position 0 on, and for each of them the token that it predicts.
struct Window {
  std::vector<std::int32_t> inputs;
  std::vector<std::int32_t> targets;  ///< as many as inputs
  std::size_t padding = 0;            ///< targets, the last ones, that are not of the text
};

/// A text cut into windows by one of the two protocols.
struct EvaluationText {
  std::string file;
  std::string protocol;     ///< "full" or "paper"
  std::size_t context = 0;  ///< longest window in tokens
  std::size_t stride = 0;   ///< tokens from the start of a window to the start of the next
  std::size_t scored_tokens = 0;
  std::vector<Window> windows;
  std::size_t padding_tokens = 0;  ///< of the scored ones, those that are not of the text
  std::size_t invalid_bytes = 0;   ///< bytes of no valid UTF-8 sequence, for a warning
};

/// The windows of some tokens, one after the other; each scores all of its tokens but the first.
/// @param context at least 2
EvaluationText window_text(std::span<const std::int32_t> tokens, std::size_t context);

/// The full protocol: window i feeds tokens iC … iC+C−1 and scores iC+1 … iC+C, where C is the
/// context, so every token but the first is scored once; the last window may be shorter.
/// @param file name for the report and for messages
/// @param context at most n_ctx, the longest sequence of the model
/// @param max_tokens number of tokens to score; 0 or more than there are: all
/// @throws nash_swarm::Error naming the file if it holds fewer than two tokens, or "--context"
EvaluationText full_protocol(const Tokenizer& tokenizer, std::string_view text,
                             const std::string& file, std::size_t context, std::size_t n_ctx,
                             std::size_t max_tokens = 0);

/// The paper protocol: each of the first `samples` non-blank lines (without its line feed) is cut
/// or padded with "<|endoftext|>" to 64 tokens, of which all but the first are scored, the padding
/// too. Fewer lines than asked for are accepted: there is a window for each.
/// @param file name for the report and for messages
/// @param n_ctx the longest sequence of the model
/// @throws nash_swarm::Error naming the file if it holds fewer than two tokens, "--samples" if
/// that is 0, "--protocol" if the model is shorter or the vocabulary has no "<|endoftext|>"
EvaluationText paper_protocol(const Tokenizer& tokenizer, std::string_view text,
                              const std::string& file, std::size_t n_ctx,
                              std::size_t samples = 100);

}  // namespace transformer
