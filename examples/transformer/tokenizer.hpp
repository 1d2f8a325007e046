#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "transformer/text_encoder.hpp"
#include "transformer/tokenizer_config.hpp"
#include "transformer/tokenizer_tables.hpp"

namespace transformer {

/// Byte pair encoding: patterns cut the text into pieces, and inside a piece the adjacent pair of
/// lowest rank is merged until none is left. Pieces consist of bytes (Radford et al. 2019, section
/// 2.2) or of characters (Kudo and Richardson 2018). Copies share the tables; all const members may
/// be called from several threads at once.
class Tokenizer {
 public:
  /// Takes the contents of a Hugging Face vocab.json and merges.txt, which are of GPT-2's kind; the
  /// names stand for them in messages.
  /// @param start what comes before every text
  /// @throws nash_swarm::Error naming file and entry or line, if the vocabulary is not a JSON
  /// object whose ids are 0 … n-1, each once, with a token for each of the 256 bytes; if a line
  /// of the merges is not a new pair of tokens that make up a third; or if the vocabulary lacks
  /// `start`
  static Tokenizer from_text(std::string_view vocab_json, std::string_view merges,
                             const std::string& vocabulary_name, const std::string& merges_name,
                             const std::optional<StartToken>& start = std::nullopt);

  /// Takes the contents of a Hugging Face tokenizer.json, as `read_tokenizer_json` does.
  static Tokenizer from_json(std::string_view json, const std::string& name);

  /// Special tokens get no special treatment: "<|endoftext|>" in a text is encoded as plain text.
  Encoded encode(std::string_view text) const;

  /// A text from its beginning on: the tokens that the files put before every text, such as "<s>",
  /// and those of `encode`.
  Encoded encode_document(std::string_view text) const;

  /// The bytes of the tokens, which are invalid UTF-8 if the ids split a character. The blank that
  /// some vocabularies put before the first word of a text is taken off.
  /// @throws nash_swarm::Error if an id is not in [0, vocabulary_size())
  std::string decode(std::span<const std::int32_t> ids) const;

  /// The bytes of a token inside a text; lives as long as the tokenizer.
  /// @throws nash_swarm::Error if the id is not in [0, vocabulary_size())
  std::string_view bytes_of(std::int32_t id) const;

  /// Number of tokens; ids are 0 … vocabulary_size() - 1.
  std::size_t vocabulary_size() const noexcept;

  /// The id of "<|endoftext|>", if the vocabulary has it.
  std::optional<std::int32_t> end_of_text() const noexcept;

  /// The tokenizer of a model with `config_vocab_size` tokens: ids beyond the vocabulary, of which
  /// models have some to make up a round number (OPT: 7), stand for nothing.
  /// @throws nash_swarm::Error if they are more than 1023, or the vocabulary has more tokens
  Tokenizer fitted_to(std::size_t config_vocab_size) const;

 private:
  explicit Tokenizer(TokenizerTables tables);

  std::shared_ptr<const TokenizerTables> tables_;
  std::size_t size_;
};

}  // namespace transformer
