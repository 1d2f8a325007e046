#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include <nash_swarm/io/packed_model.hpp>

#include "transformer/tokenizer.hpp"

namespace transformer {

/// One of the files that make a tokenizer.
struct TokenizerFile {
  std::string name;   ///< such as "vocab.json"
  std::string place;  ///< where it was found, for messages
  std::string text;
};

/// tokenizer.json; or where there is none vocab.json and merges.txt, and a tokenizer_config.json
/// that puts a token before texts, cut down to that.
using TokenizerFiles = std::vector<TokenizerFile>;

/// Those of a checkpoint's folder.
/// @throws nash_swarm::Error naming the file that is missing or cannot be read, or as
/// `read_tokenizer_config`
TokenizerFiles tokenizer_files(const std::filesystem::path& folder);

/// Those inside a packed model.
/// @throws nash_swarm::Error naming the file that is missing, or as `read_tokenizer_config`
TokenizerFiles tokenizer_files(const nash_swarm::PackedModelFile& packed);

/// The tokenizer of a model with `config_vocab_size` tokens.
/// @throws nash_swarm::Error naming file and place of what is wrong, or as `Tokenizer::fitted_to`
Tokenizer make_tokenizer(const TokenizerFiles& files, std::size_t config_vocab_size);

}  // namespace transformer
