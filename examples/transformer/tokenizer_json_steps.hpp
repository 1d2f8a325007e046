#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "transformer/blank_marks.hpp"
#include "transformer/text_pieces.hpp"
#include "transformer/tokenizer_json_part.hpp"

namespace transformer {

/// What a tokenizer.json does before and after its model.
struct TokenizerJsonSteps {
  bool byte_level = false;  ///< a vocabulary in GPT-2's spelling of bytes
  std::vector<PiecePattern> patterns;
  std::optional<BlankMarks> blanks;  ///< set unless `byte_level`
  std::vector<std::int32_t> start;   ///< what a post_processor puts before a text
};

/// Reads normalizer, pre_tokenizer, decoder and post_processor.
/// @param file names the file in messages
/// @throws nash_swarm::Error naming file and step, if it is not known here
TokenizerJsonSteps read_tokenizer_steps(const TokenizerJsonPart& whole, const std::string& file);

}  // namespace transformer
