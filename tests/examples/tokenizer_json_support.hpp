#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "transformer/blank_marks.hpp"
#include "transformer/byte_alphabet.hpp"
#include "transformer/tokenizer.hpp"

/// Small tokenizer.json texts.
namespace nash_swarm::test {

/// The pattern of LLaMA 3.
inline const std::string llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

inline nlohmann::json split_step(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}

inline nlohmann::json byte_level_step(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

/// What comes before ByteLevel, and it.
inline nlohmann::json steps_with_byte_level(const nlohmann::json& first, bool use_regex) {
  nlohmann::json sequence = {{"type", "Sequence"}};
  sequence["pretokenizers"] = nlohmann::json::array({first, byte_level_step(use_regex)});
  return sequence;
}

inline nlohmann::json metaspace_step(const std::string& scheme, bool split) {
  return {{"type", "Metaspace"},
          {"replacement", transformer::blank_mark},
          {"prepend_scheme", scheme},
          {"split", split}};
}

inline nlohmann::json replace_step(const std::string& from, const std::string& to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

/// LLaMA 2's.
inline nlohmann::json marking_normalizer() {
  nlohmann::json sequence = {{"type", "Sequence"}};
  sequence["normalizers"] = nlohmann::json::array(
      {nlohmann::json{{"type", "Prepend"}, {"prepend", transformer::blank_mark}},
       replace_step(" ", std::string(transformer::blank_mark))});
  return sequence;
}

inline nlohmann::json tokenizer_json(nlohmann::json model, nlohmann::json decoder) {
  return {{"version", "1.0"},          {"truncation", nullptr},
          {"padding", nullptr},        {"added_tokens", nlohmann::json::array()},
          {"normalizer", nullptr},     {"pre_tokenizer", nullptr},
          {"post_processor", nullptr}, {"decoder", std::move(decoder)},
          {"model", std::move(model)}};
}

inline nlohmann::json bpe_model(nlohmann::json vocabulary, nlohmann::json merges) {
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", ""},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

/// The 256 bytes with their values as ids, then some tokens; merges are texts.
inline nlohmann::json byte_level_json(const nlohmann::json& pre_tokenizer) {
  nlohmann::json vocabulary = nlohmann::json::object();
  const transformer::ByteAlphabet alphabet;
  for (const std::string& byte : alphabet.spelling()) {
    vocabulary[byte] = vocabulary.size();
  }
  for (const char* token : {"12", "123", "1234", "Ġa", "hello", "'S", "pq", "pqp"}) {
    vocabulary[token] = vocabulary.size();
  }
  const nlohmann::json merges = {"pq p", "p q", "1 2", "12 3", "123 4", "Ġ a", "' S"};
  nlohmann::json json = tokenizer_json(bpe_model(vocabulary, merges), byte_level_step(true));
  json["pre_tokenizer"] = pre_tokenizer;
  return json;
}

/// Three special tokens, the 256 bytes from id 3 on, then characters and tokens; merges are pairs.
inline nlohmann::json marked_json(const nlohmann::json& normalizer,
                                  const nlohmann::json& pre_tokenizer) {
  nlohmann::json vocabulary = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (const std::string& byte : transformer::fallback_spelling()) {
    vocabulary[byte] = vocabulary.size();
  }
  for (const char* token : {"▁", "h", "e", "l", "o", "w", "r", "d", "é", "ll", "he", "▁he", "llo",
                            "▁hello", "▁▁", "▁w", "or", "o▁"}) {
    vocabulary[token] = vocabulary.size();
  }
  nlohmann::json merges = nlohmann::json::array();
  const std::vector<std::vector<std::string>> pairs = {{"l", "l"},  {"h", "e"},     {"▁", "he"},
                                                       {"ll", "o"}, {"▁he", "llo"}, {"▁", "▁"},
                                                       {"▁", "w"},  {"o", "r"},     {"o", "▁"}};
  for (const auto& pair : pairs) merges.push_back(pair);
  nlohmann::json decoder = {{"type", "Sequence"}};
  decoder["decoders"] = nlohmann::json::array(
      {replace_step(std::string(transformer::blank_mark), " "),
       nlohmann::json{{"type", "ByteFallback"}}, nlohmann::json{{"type", "Fuse"}},
       nlohmann::json{{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}});
  nlohmann::json json = tokenizer_json(bpe_model(vocabulary, merges), std::move(decoder));
  json["model"]["byte_fallback"] = true;
  json["model"]["unk_token"] = "<unk>";
  json["normalizer"] = normalizer;
  json["pre_tokenizer"] = pre_tokenizer;
  return json;
}

/// Puts a token before every text.
inline nlohmann::json start_template(const std::string& token, std::int32_t id) {
  nlohmann::json json = {{"type", "TemplateProcessing"}, {"pair", nlohmann::json::array()}};
  json["single"] =
      nlohmann::json::array({nlohmann::json{{"SpecialToken", {{"id", token}, {"type_id", 0}}}},
                             nlohmann::json{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}});
  json["special_tokens"][token] = {{"id", token},
                                   {"ids", nlohmann::json::array({id})},
                                   {"tokens", nlohmann::json::array({token})}};
  return json;
}

inline nlohmann::json added_token(const std::string& content, std::int32_t id) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

inline transformer::Tokenizer tokenizer_of(const nlohmann::json& json) {
  return transformer::Tokenizer::from_json(json.dump(), "tokenizer.json");
}

}  // namespace nash_swarm::test
