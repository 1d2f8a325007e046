#include "transformer/byte_alphabet.hpp"

#include <cstddef>

#include <nash_swarm/core/error.hpp>

namespace transformer {
namespace {

/// UTF-8 of a character of the alphabet; all are below U+0800.
std::string utf8(unsigned character) {
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xc0 | (character >> 6)), static_cast<char>(0x80 | (character & 0x3f))};
}

}  // namespace

ByteAlphabet::ByteAlphabet() {
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < byte_values; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
    spelling_[byte] = utf8(printable ? byte : next++);
    bytes_.emplace(spelling_[byte], static_cast<char>(byte));
  }
}

std::string ByteAlphabet::bytes_of(std::string_view token, const std::string& file) const {
  std::string bytes;
  for (std::size_t begin = 0; begin < token.size();) {
    const std::size_t length = static_cast<unsigned char>(token[begin]) < 0x80 ? 1 : 2;
    const auto found = bytes_.find(std::string(token.substr(begin, length)));
    if (found == bytes_.end()) {
      throw nash_swarm::Error(
          file, "token " + in_quotes(token) + " has a character that stands for no byte",
          "pass the vocabulary of a byte-level tokenizer, as GPT-2's");
    }
    bytes += found->second;
    begin += length;
  }
  return bytes;
}

}  // namespace transformer
