#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "transformer/vocabulary.hpp"

namespace transformer {

/// The token that a tokenizer_config.json puts before every text.
struct StartToken {
  std::string token;  ///< as the vocabulary spells it
  std::string file;   ///< stands for the tokenizer_config.json in messages
};

/// Reads a tokenizer_config.json beside vocab.json and merges.txt as Hugging Face's GPT2Tokenizer
/// does: "bos_token" comes before texts if "add_bos_token" is true, and nothing if it is not.
/// @param file stands for it in messages
/// @throws nash_swarm::Error naming file and key, if it is damaged, or if it asks for another class
/// of tokenizers or for anything else in a text
std::optional<StartToken> read_tokenizer_config(std::string_view text, const std::string& file);

/// A tokenizer_config.json that says this and no more.
std::string tokenizer_config_json(const StartToken& start);

/// Its id in a vocabulary.
/// @throws nash_swarm::Error naming the tokenizer_config.json, if there is none
std::int32_t id_of(const StartToken& start, const TokenIds& ids);

}  // namespace transformer
