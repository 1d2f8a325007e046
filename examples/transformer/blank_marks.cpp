#include "transformer/blank_marks.hpp"

#include <algorithm>

namespace transformer {
namespace {

/// `text` with `to` in the place of every `from`.
std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  while (true) {
    const std::size_t found = text.find(from);
    result += text.substr(0, found);
    if (found == std::string_view::npos) return result;
    result += to;
    text.remove_prefix(found + from.size());
  }
}

/// Value of a hexadecimal digit; 16 for another character.
unsigned hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return static_cast<unsigned>(digit - '0');
  if (digit >= 'A' && digit <= 'F') return static_cast<unsigned>(digit - 'A') + 10;
  if (digit >= 'a' && digit <= 'f') return static_cast<unsigned>(digit - 'a') + 10;
  return 16;
}

}  // namespace

bool has_mark_inside(std::string_view token) {
  while (token.starts_with(blank_mark)) token.remove_prefix(blank_mark.size());
  return token.find(blank_mark) != std::string_view::npos;
}

std::string BlankMarks::mark(std::string_view text) const {
  std::string marked = replaced(text, " ", blank_mark);
  const bool prefix =
      first == First::always || (first == First::unless_there && !marked.starts_with(blank_mark));
  if (prefix && !marked.empty()) marked.insert(0, blank_mark);
  return marked;
}

std::string BlankMarks::take_off(std::string text) const {
  const std::size_t blanks = std::min(text.find_first_not_of(' '), text.size());
  return text.erase(0, std::min(blanks, taken_off));
}

ByteSpelling fallback_spelling() {
  constexpr std::string_view digits = "0123456789ABCDEF";
  ByteSpelling spelling;
  for (std::size_t byte = 0; byte < byte_values; ++byte) {
    spelling[byte] = std::string("<0x") + digits[byte >> 4] + digits[byte & 0xf] + '>';
  }
  return spelling;
}

std::string bytes_of_marked(std::string_view token) {
  if (token.size() == 6 && token.starts_with("<0x") && token.ends_with('>')) {
    const unsigned high = hex_value(token[3]);
    const unsigned low = hex_value(token[4]);
    if (high < 16 && low < 16) return {static_cast<char>(high << 4 | low)};
  }
  return replaced(token, blank_mark, " ");
}

}  // namespace transformer
