#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace transformer {

/// A text as token ids.
struct Encoded {
  std::vector<std::int32_t> ids;
  /// Bytes that belong to no valid UTF-8 sequence; each of them became a token of its own.
  std::size_t invalid_bytes = 0;
};

/// GPT-2's byte-level byte pair encoding (Radford et al. 2019, section 2.2): a pattern cuts the
/// text into pieces, and inside a piece the adjacent pair of lowest rank is merged until none is
/// left. Copies share the tables; all const members may be called from several threads at once.
class Tokenizer {
 public:
  /// Takes the contents of a Hugging Face vocab.json and merges.txt; the names stand for them in
  /// messages.
  /// @throws nash_swarm::Error naming file and entry or line, if the vocabulary is not a JSON
  /// object whose ids are 0 … n-1, each once, with a token for each of the 256 bytes; or if a line
  /// of the merges is not a new pair of tokens that make up a third
  static Tokenizer from_text(std::string_view vocab_json, std::string_view merges,
                             const std::string& vocabulary_name, const std::string& merges_name);

  /// Special tokens get no special treatment: "<|endoftext|>" in a text is encoded as plain text.
  Encoded encode(std::string_view text) const;

  /// The bytes of the tokens, which are invalid UTF-8 if the ids split a character.
  /// @throws nash_swarm::Error if an id is not in [0, vocabulary_size())
  std::string decode(std::span<const std::int32_t> ids) const;

  /// Number of tokens; ids are 0 … vocabulary_size() - 1.
  std::size_t vocabulary_size() const noexcept;

  /// The id of "<|endoftext|>", if the vocabulary has it.
  std::optional<std::int32_t> end_of_text() const noexcept;

  /// @throws nash_swarm::Error if a model with `config_vocab_size` tokens has another vocabulary
  void check_fits(std::size_t config_vocab_size) const;

 private:
  struct Tables;
  explicit Tokenizer(std::shared_ptr<const Tables> tables);

  std::shared_ptr<const Tables> tables_;
};

}  // namespace transformer
