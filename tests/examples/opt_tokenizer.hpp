#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "io/support.hpp"
#include "transformer/byte_alphabet.hpp"

/// The files of a small tokenizer as OPT's.
namespace nash_swarm::test {

/// OPT's four special tokens, the 256 bytes from id 4 on, and "he" (260).
inline std::string opt_vocabulary() {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (const char* token : {"<s>", "<pad>", "</s>", "<unk>"}) vocabulary[token] = vocabulary.size();
  const transformer::ByteAlphabet alphabet;
  for (const std::string& byte : alphabet.spelling()) vocabulary[byte] = vocabulary.size();
  vocabulary["he"] = vocabulary.size();
  return vocabulary.dump();
}

inline const std::string opt_merges = "#version: 0.2\nh e\n";

/// The tokenizer_config.json of facebook/opt-125m, in which a token is an object.
inline nlohmann::json opt_tokenizer_config() {
  const auto token = [](const char* content) {
    return nlohmann::json::object({{"__type", "AddedToken"},
                                   {"content", content},
                                   {"lstrip", false},
                                   {"normalized", true},
                                   {"rstrip", false},
                                   {"single_word", false}});
  };
  return nlohmann::json::object({{"errors", "replace"},
                                 {"unk_token", token("</s>")},
                                 {"bos_token", token("</s>")},
                                 {"eos_token", token("</s>")},
                                 {"pad_token", token("<pad>")},
                                 {"add_prefix_space", false},
                                 {"add_bos_token", true},
                                 {"special_tokens_map_file", nullptr},
                                 {"name_or_path", "facebook/opt-125m"},
                                 {"tokenizer_class", "GPT2Tokenizer"}});
}

/// What a packed model has of it.
inline const std::string short_opt_tokenizer_config =
    R"({"add_bos_token":true,"bos_token":"</s>"})";

inline void write_opt_tokenizer(const std::filesystem::path& folder) {
  write_text(folder / "vocab.json", opt_vocabulary());
  write_text(folder / "merges.txt", opt_merges);
  write_text(folder / "tokenizer_config.json", opt_tokenizer_config().dump(2));
}

}  // namespace nash_swarm::test
