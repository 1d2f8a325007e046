#include "transformer/tokenizer.hpp"

#include <utility>

#include <nash_swarm/core/error.hpp>

#include "transformer/byte_alphabet.hpp"
#include "transformer/piece_regex.hpp"
#include "transformer/tokenizer_json.hpp"
#include "transformer/vocabulary.hpp"

namespace transformer {
using nash_swarm::Error;

Tokenizer::Tokenizer(TokenizerTables tables)
    : tables_(std::make_shared<const TokenizerTables>(std::move(tables))),
      size_(tables_->token_bytes.size()) {}

Tokenizer Tokenizer::from_text(std::string_view vocab_json, std::string_view merges,
                               const std::string& vocabulary_name, const std::string& merges_name,
                               const std::optional<StartToken>& start) {
  const TokenIds ids = read_vocabulary(vocab_json, vocabulary_name);
  const ByteAlphabet alphabet;
  TokenizerTables tables;
  tables.name = vocabulary_name;
  for (const std::string_view token : tokens_by_id(ids, vocabulary_name)) {
    tables.token_bytes.push_back(alphabet.bytes_of(token, vocabulary_name));
  }
  tables.alphabet.byte_ids = ids_of_bytes(ids, alphabet.spelling(), vocabulary_name);
  tables.merges = parse_merges(merges, ids, merges_name);
  if (start) tables.start.push_back(id_of(*start, ids));
  tables.end_of_text = end_of_text_in(ids);
  tables.patterns.emplace_back(gpt2_pieces, vocabulary_name);
  return Tokenizer(std::move(tables));
}

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& name) {
  return Tokenizer(read_tokenizer_json(json, name));
}

Encoded Tokenizer::encode(std::string_view text) const {
  if (!tables_->blanks) return TextEncoder(*tables_).encode(text);
  const std::string marked = tables_->blanks->mark(text);
  return TextEncoder(*tables_).encode(marked);
}

Encoded Tokenizer::encode_document(std::string_view text) const {
  Encoded encoded = encode(text);
  encoded.ids.insert(encoded.ids.begin(), tables_->start.begin(), tables_->start.end());
  return encoded;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) text += bytes_of(id);
  return tables_->blanks ? tables_->blanks->take_off(std::move(text)) : text;
}

std::string_view Tokenizer::bytes_of(std::int32_t id) const {
  if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_size()) {
    throw Error(
        tables_->name, "no token has the id " + std::to_string(id),
        "pass ids from 0 to " + std::to_string(static_cast<long long>(vocabulary_size()) - 1));
  }
  const auto place = static_cast<std::size_t>(id);
  if (place >= tables_->token_bytes.size()) return {};
  return tables_->token_bytes[place];
}

std::size_t Tokenizer::vocabulary_size() const noexcept {
  return size_;
}

std::optional<std::int32_t> Tokenizer::end_of_text() const noexcept {
  return tables_->end_of_text;
}

Tokenizer Tokenizer::fitted_to(std::size_t config_vocab_size) const {
  constexpr std::size_t most_unused = 1023;
  if (config_vocab_size == vocabulary_size()) return *this;
  if (config_vocab_size < vocabulary_size() ||
      config_vocab_size - vocabulary_size() > most_unused) {
    throw Error(tables_->name,
                std::to_string(vocabulary_size()) + " tokens, but the model's \"vocab_size\" is " +
                    std::to_string(config_vocab_size),
                "use the vocabulary that the model was trained with");
  }
  Tokenizer fitted = *this;
  fitted.size_ = config_vocab_size;
  return fitted;
}

}  // namespace transformer
