#include "transformer/tokenizer_json.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <nash_swarm/io/json_text.hpp>

#include "transformer/byte_alphabet.hpp"
#include "transformer/tokenizer_json_part.hpp"
#include "transformer/tokenizer_json_steps.hpp"
#include "transformer/vocabulary.hpp"

namespace transformer {
namespace {

using Json = nlohmann::json;
using Part = TokenizerJsonPart;

/// The tokens that the model itself can give.
TokenIds read_model_ids(const Part& model, const std::string& file) {
  TokenIds ids;
  const Json& vocabulary = model.at("vocab");
  if (!vocabulary.is_object()) model.refuse_damaged("has no vocab");
  ids.reserve(vocabulary.size());
  for (const auto& [token, id] : vocabulary.items()) {
    if (!id.is_number_unsigned()) {
      model.refuse_damaged("vocab: the id of " + in_quotes(token) +
                           " is not a whole number from 0 up");
    }
    add_token(ids, token, id.get<std::uint64_t>(), file);
  }
  return ids;
}

/// The special tokens. Other added tokens would be looked for in texts.
TokenIds read_added_ids(const Part& whole, const std::string& file) {
  TokenIds ids;
  if (!whole.has("added_tokens")) return ids;
  for (const Json& entry : whole.list("added_tokens")) {
    const Part token(entry, file, "added_tokens");
    if (!token.flag_or("special", false)) {
      token.refuse(in_quotes(token.text("content")) + ", which is not special, is not known here");
    }
    add_token(ids, token.text("content"), token.number("id"), file);
  }
  return ids;
}

TokenIds united(TokenIds ids, const TokenIds& added, const Part& whole) {
  for (const auto& [token, id] : added) {
    if (ids.emplace(token, id).first->second != id) {
      whole.refuse_damaged("gives " + in_quotes(token) +
                           " one id in vocab and another in added_tokens");
    }
  }
  return ids;
}

MergeTable read_merges(const Part& model, const TokenIds& ids, const std::string& file) {
  const Json& list = model.list("merges");
  MergeTable merges;
  merges.reserve(list.size());
  std::size_t number = 0;
  for (const Json& entry : list) {
    const std::string place = "merge " + std::to_string(++number) + ": ";
    const bool pair =
        entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string();
    if (!pair && !entry.is_string()) model.refuse_damaged(place + "is not two tokens");
    const Merge merge = pair ? find_merge(entry[0].get_ref<const std::string&>(),
                                          entry[1].get_ref<const std::string&>(), ids, file, place)
                             : parse_merge(entry.get_ref<const std::string&>(), ids, file, place);
    if (!merges.add(merge)) model.refuse_damaged(place + "is listed twice");
  }
  return merges;
}

/// Refuses options that change what the model gives; those of unknown characters do not, since each
/// byte has a token.
void check_options(const Part& model, bool byte_level) {
  model.allow({"type", "vocab", "merges", "dropout", "unk_token", "fuse_unk", "byte_fallback",
               "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"});
  model.require("dropout", {nullptr, 0});
  model.require("continuing_subword_prefix", {nullptr, ""});
  model.require("end_of_word_suffix", {nullptr, ""});
  if (!byte_level) model.require("byte_fallback", {true});
}

/// What pieces of characters consist of.
Alphabet characters_in(const TokenIds& ids, const std::string& file) {
  Alphabet alphabet;
  alphabet.byte_ids = ids_of_bytes(ids, fallback_spelling(), file);
  for (const auto& [token, id] : ids) {
    if (!token.empty() && sequence_length(token) == token.size()) {
      alphabet.characters.emplace(token, id);
    }
  }
  return alphabet;
}

/// Fills in what the tokens are, by id and by what stands in a text.
class TokenTables {
 public:
  TokenTables(TokenizerTables& tables, const TokenIds& added, bool byte_level)
      : tables_(tables), added_(added), byte_level_(byte_level) {}

  void add_alphabet(const TokenIds& ids) {
    if (byte_level_) {
      tables_.alphabet.byte_ids = ids_of_bytes(ids, alphabet_.spelling(), tables_.name);
    } else {
      tables_.alphabet = characters_in(ids, tables_.name);
    }
  }

  /// @param all tokens, the added ones among them
  void add_bytes(const TokenIds& all) {
    for (const std::string_view token : tokens_by_id(all, tables_.name)) {
      tables_.token_bytes.push_back(is_added(token) ? std::string(token)
                                    : byte_level_   ? alphabet_.bytes_of(token, tables_.name)
                                                    : bytes_of_marked(token));
    }
  }

  /// Makes every token of a vocabulary a whole piece; the special ones are no text.
  void add_whole_pieces(const TokenIds& ids) {
    tables_.whole_pieces.reserve(ids.size());
    for (const auto& [token, id] : ids) {
      if (is_added(token)) continue;
      tables_.whole_pieces.emplace(byte_level_ ? alphabet_.bytes_of(token, tables_.name) : token,
                                   id);
    }
  }

 private:
  bool is_added(std::string_view token) const { return added_.contains(std::string(token)); }

  TokenizerTables& tables_;
  const TokenIds& added_;
  bool byte_level_;
  ByteAlphabet alphabet_;
};

/// Cuts texts that are one piece into words, if their tokens are the same.
void cut_words(TokenizerTables& tables, const TokenIds& ids) {
  if (!tables.blanks || !tables.patterns.empty() || !tables.whole_pieces.empty()) return;
  for (const auto& [token, id] : ids) {
    if (has_mark_inside(token)) return;
  }
  tables.patterns.emplace_back(marked_words, tables.name);
}

void check_start(const std::vector<std::int32_t>& start, std::size_t tokens, const Part& whole) {
  for (const std::int32_t id : start) {
    if (static_cast<std::size_t>(id) >= tokens) {
      whole.refuse_damaged("post_processor gives the id " + std::to_string(id) +
                           ", which no token has");
    }
  }
}

}  // namespace

TokenizerTables read_tokenizer_json(std::string_view text, const std::string& file) {
  const Json parsed = nash_swarm::parse_json(file, text, download_again);
  const Part whole(parsed, file, "");
  // Hugging Face's models set truncation and padding anew for every text.
  whole.allow({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
               "post_processor", "decoder", "model"});
  whole.require("version", {nullptr, "1.0"});
  const Part model = whole.part("model");
  model.require("type", {nullptr, "BPE"});
  TokenizerJsonSteps steps = read_tokenizer_steps(whole, file);
  check_options(model, steps.byte_level);

  TokenIds ids = read_model_ids(model, file);
  const TokenIds added = read_added_ids(whole, file);
  TokenizerTables tables;
  tables.name = file;
  TokenTables tokens(tables, added, steps.byte_level);
  tokens.add_alphabet(ids);
  if (model.flag_or("ignore_merges", false)) tokens.add_whole_pieces(ids);
  tables.merges = read_merges(model, ids, file);
  tables.merge_order = MergeOrder::lowest_of_all;
  tables.patterns = std::move(steps.patterns);
  tables.blanks = steps.blanks;
  cut_words(tables, ids);
  const TokenIds all = united(std::move(ids), added, whole);
  tokens.add_bytes(all);
  check_start(steps.start, all.size(), whole);
  tables.end_of_text = end_of_text_in(all);
  tables.start = std::move(steps.start);
  return tables;
}

}  // namespace transformer
