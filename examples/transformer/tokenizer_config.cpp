#include "transformer/tokenizer_config.hpp"

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/json_text.hpp>

#include "transformer/tokenizer_json_part.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;

/// Texts with more in them than their own tokens and one before them.
void refuse_additions(const TokenizerJsonPart& whole, const std::string& file) {
  for (const char* key : {"add_eos_token", "add_prefix_space"}) {
    if (!whole.flag_or(key, false)) continue;
    throw Error(file, std::string(key) + " true is not known here",
                "use a model without it, or set it to false to leave it out");
  }
}

/// Other classes may cut texts in another way.
void refuse_other_classes(const TokenizerJsonPart& whole, const std::string& file) {
  constexpr const char* key = "tokenizer_class";
  if (!whole.has(key)) return;
  const std::string& name = whole.text(key);
  if (name == "GPT2Tokenizer" || name == "GPT2TokenizerFast") return;
  throw Error(
      file, std::string(key) + " " + nash_swarm::printable(name) + " without a tokenizer.json",
      "add the tokenizer.json of the model; vocab.json and merges.txt are read as GPT2Tokenizer's");
}

/// A text, or an object with its content.
std::string bos_token(const TokenizerJsonPart& whole, const std::string& file) {
  constexpr const char* key = "bos_token";
  if (!whole.has(key)) {
    throw Error(file, "add_bos_token is true, but bos_token is missing",
                "name the token in bos_token, or set add_bos_token to false");
  }
  return whole.at(key).is_object() ? whole.part(key).text("content") : whole.text(key);
}

}  // namespace

std::optional<StartToken> read_tokenizer_config(std::string_view text, const std::string& file) {
  const nlohmann::json parsed = nash_swarm::parse_json(file, text, download_again);
  const TokenizerJsonPart whole(parsed, file, "");
  refuse_other_classes(whole, file);
  refuse_additions(whole, file);
  if (!whole.flag_or("add_bos_token", false)) return std::nullopt;
  return StartToken{bos_token(whole, file), file};
}

std::string tokenizer_config_json(const StartToken& start) {
  return nlohmann::json::object({{"add_bos_token", true}, {"bos_token", start.token}}).dump();
}

std::int32_t id_of(const StartToken& start, const TokenIds& ids) {
  const auto found = ids.find(start.token);
  if (found == ids.end()) {
    throw Error(start.file, "bos_token " + in_quotes(start.token) + " is not in the vocabulary",
                "use the file that belongs to vocab.json, or set add_bos_token to false");
  }
  return found->second;
}

}  // namespace transformer
