#include "transformer/tokenizer.hpp"

#include <array>
#include <unordered_map>
#include <utility>

#include <nash_swarm/core/error.hpp>

#include "transformer/byte_pair_merges.hpp"
#include "transformer/text_pieces.hpp"
#include "transformer/vocabulary.hpp"

namespace transformer {
using nash_swarm::Error;

struct Tokenizer::Tables {
  std::string name;
  std::vector<std::string> token_bytes;
  std::array<std::int32_t, byte_values> byte_ids;
  MergeTable merges;
  std::optional<std::int32_t> end_of_text;
  PiecePattern pattern;
};

Tokenizer::Tokenizer(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

Tokenizer Tokenizer::from_text(std::string_view vocab_json, std::string_view merges,
                               const std::string& vocabulary_name, const std::string& merges_name) {
  const TokenIds ids = read_vocabulary(vocab_json, vocabulary_name);
  auto tables = std::make_shared<Tables>();
  tables->name = vocabulary_name;
  tables->token_bytes = bytes_by_id(ids, vocabulary_name);
  tables->byte_ids = ids_of_bytes(ids, vocabulary_name);
  tables->merges = parse_merges(merges, ids, merges_name);
  const auto end_of_text = ids.find("<|endoftext|>");
  if (end_of_text != ids.end()) tables->end_of_text = end_of_text->second;
  return Tokenizer(std::move(tables));
}

Encoded Tokenizer::encode(std::string_view text) const {
  Encoded encoded;
  std::vector<std::int32_t>& ids = encoded.ids;
  PieceMerger merger(tables_->byte_ids, tables_->merges);
  const MatchData match = tables_->pattern.make_match_data();
  // A piece that came before is copied from where its ids stand: first id and end.
  std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> earlier;

  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_prefix_length(text));
    for (std::size_t begin = 0; begin < valid.size();) {
      const std::size_t end = tables_->pattern.piece_end(valid, begin, match.get());
      const std::string_view piece = valid.substr(begin, end - begin);
      const std::size_t first = ids.size();
      if (const auto found = earlier.find(piece); found != earlier.end()) {
        for (std::size_t i = found->second.first; i < found->second.second; ++i) {
          ids.push_back(ids[i]);
        }
      } else {
        merger.append(piece, ids);
        earlier.emplace(piece, std::pair{first, ids.size()});
      }
      begin = end;
    }
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    ids.push_back(tables_->byte_ids[static_cast<unsigned char>(text.front())]);
    ++encoded.invalid_bytes;
    text.remove_prefix(1);
  }
  return encoded;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= vocabulary_size()) {
      throw Error(
          tables_->name, "no token has the id " + std::to_string(id),
          "pass ids from 0 to " + std::to_string(static_cast<long long>(vocabulary_size()) - 1));
    }
    text += tables_->token_bytes[static_cast<std::size_t>(id)];
  }
  return text;
}

std::size_t Tokenizer::vocabulary_size() const noexcept {
  return tables_->token_bytes.size();
}

std::optional<std::int32_t> Tokenizer::end_of_text() const noexcept {
  return tables_->end_of_text;
}

void Tokenizer::check_fits(std::size_t config_vocab_size) const {
  if (config_vocab_size == vocabulary_size()) return;
  throw Error(tables_->name,
              std::to_string(vocabulary_size()) + " tokens, but the model's \"vocab_size\" is " +
                  std::to_string(config_vocab_size),
              "use the vocabulary that the model was trained with");
}

}  // namespace transformer
