#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "transformer/vocabulary.hpp"

namespace transformer {

/// GPT-2's spelling of bytes: printable ones stand for themselves, the others for U+0100, U+0101, …
/// in their order, so that the text files of a vocabulary hold neither blanks nor control
/// characters.
class ByteAlphabet {
 public:
  ByteAlphabet();

  const ByteSpelling& spelling() const noexcept { return spelling_; }

  /// The bytes that a token stands for.
  /// @param file stands for the vocabulary in messages
  /// @throws nash_swarm::Error naming the token, if a character is not of the alphabet
  std::string bytes_of(std::string_view token, const std::string& file) const;

 private:
  ByteSpelling spelling_;
  std::unordered_map<std::string, char> bytes_;
};

}  // namespace transformer
