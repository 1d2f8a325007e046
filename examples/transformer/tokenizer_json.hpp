#pragma once

#include <string>
#include <string_view>

#include "transformer/tokenizer_tables.hpp"

namespace transformer {

/// Reads a tokenizer.json of Hugging Face's tokenizers, with a model BPE of one of two kinds:
/// bytes in GPT-2's spelling (pre_tokenizer ByteLevel, maybe after Split and Digits), or characters
/// with byte_fallback and marks for blanks (normalizer Prepend and Replace, or pre_tokenizer
/// Metaspace). Special tokens are decoded, and in a text they are plain text.
/// @param file stands for it in messages
/// @throws nash_swarm::Error naming file and place, if it is damaged or if it asks for anything
/// that would not be done as the file says
TokenizerTables read_tokenizer_json(std::string_view text, const std::string& file);

}  // namespace transformer
