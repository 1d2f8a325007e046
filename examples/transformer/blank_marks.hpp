#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "transformer/vocabulary.hpp"

namespace transformer {

/// U+2581, which stands for a blank in SentencePiece's vocabularies (Kudo and Richardson 2018).
inline constexpr std::string_view blank_mark = "\xe2\x96\x81";

/// Words with the marks before them. Where no token holds a mark after another character, no merge
/// reaches over their ends.
inline constexpr std::string_view marked_words = "\u2581++[^\u2581]*+|[^\u2581]++";

/// A mark after another character, somewhere in the token.
bool has_mark_inside(std::string_view token);

/// How a text is marked before a vocabulary of SentencePiece's kind is looked up.
struct BlankMarks {
  /// The mark before the first word of a text that is not empty.
  enum class First { none, always, unless_there };

  First first = First::none;
  std::size_t taken_off = 0;  ///< most blanks that a decoded text loses at its beginning

  /// The text with a mark for every blank.
  std::string mark(std::string_view text) const;
  /// The decoded text without the blanks that are taken off.
  std::string take_off(std::string text) const;
};

/// "<0x00>" … "<0xFF>", for the bytes of characters that have no token.
ByteSpelling fallback_spelling();

/// The bytes that a token stands for: a blank for every mark, and the byte of a fallback token.
std::string bytes_of_marked(std::string_view token);

}  // namespace transformer
