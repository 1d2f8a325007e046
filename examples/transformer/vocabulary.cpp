#include "transformer/vocabulary.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nlohmann/json.hpp>

namespace transformer {
namespace {

using nash_swarm::Error;

/// Printable bytes stand for themselves, the others for U+0100, U+0101, … in their order, so that
/// the text files of a vocabulary hold neither blanks nor control characters.
constexpr std::array<unsigned, byte_values> byte_characters() {
  std::array<unsigned, byte_values> characters{};
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < byte_values; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
    characters[byte] = printable ? byte : next++;
  }
  return characters;
}

/// UTF-8 of a character of the alphabet; all are below U+0800.
std::string utf8(unsigned character) {
  if (character < 0x80) return {static_cast<char>(character)};
  return {static_cast<char>(0xc0 | (character >> 6)), static_cast<char>(0x80 | (character & 0x3f))};
}

/// Translates tokens as the vocabulary spells them into the bytes that they stand for.
class ByteAlphabet {
 public:
  ByteAlphabet() {
    constexpr auto characters = byte_characters();
    for (unsigned byte = 0; byte < byte_values; ++byte) {
      bytes_.emplace(utf8(characters[byte]), static_cast<char>(byte));
    }
  }

  /// Nothing, if a character is not of the alphabet.
  std::optional<std::string> bytes_of(std::string_view token) const {
    std::string bytes;
    for (std::size_t begin = 0; begin < token.size();) {
      const std::size_t length = static_cast<unsigned char>(token[begin]) < 0x80 ? 1 : 2;
      const auto found = bytes_.find(std::string(token.substr(begin, length)));
      if (found == bytes_.end()) return std::nullopt;
      bytes += found->second;
      begin += length;
    }
    return bytes;
  }

 private:
  std::unordered_map<std::string, char> bytes_;
};

/// Collects the entries of a flat JSON object. A parser of events rather than of a tree, because a
/// tree silently keeps only one of two equal keys.
class VocabularyReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit VocabularyReader(const std::string& file) : file_(file) {}

  TokenIds take() { return std::move(ids_); }

  bool key(string_t& token) override {
    token_ = token;
    return true;
  }
  bool number_unsigned(number_unsigned_t id) override {
    if (!inside_) refuse_value();
    if (id > static_cast<number_unsigned_t>(std::numeric_limits<std::int32_t>::max())) {
      throw Error(file_,
                  "token " + in_quotes(token_) + ": id " + std::to_string(id) + " is too large",
                  "ids must be 0 … n-1, each once");
    }
    if (!ids_.emplace(token_, static_cast<std::int32_t>(id)).second) {
      throw Error(file_, "token " + in_quotes(token_) + " is listed twice", download_again);
    }
    return true;
  }
  bool start_object(std::size_t) override { return inside_ ? refuse_value() : (inside_ = true); }
  bool end_object() override { return true; }
  bool null() override { return refuse_value(); }
  bool boolean(bool) override { return refuse_value(); }
  bool number_integer(number_integer_t) override { return refuse_value(); }
  bool number_float(number_float_t, const string_t&) override { return refuse_value(); }
  bool string(string_t&) override { return refuse_value(); }
  bool binary(binary_t&) override { return refuse_value(); }
  bool start_array(std::size_t) override { return refuse_value(); }
  bool end_array() override { return true; }
  bool parse_error(std::size_t byte, const std::string&,
                   const nlohmann::json::exception&) override {
    throw Error(file_, "not valid JSON at byte " + std::to_string(byte), download_again);
  }

 private:
  [[noreturn]] bool refuse_value() const {
    if (!inside_) throw Error(file_, "not a JSON object", "pass a GPT-2 vocab.json");
    throw Error(file_, "token " + in_quotes(token_) + ": its id is not a whole number from 0 up",
                "pass a GPT-2 vocab.json, which maps each token to its id");
  }

  const std::string& file_;
  std::string token_;
  TokenIds ids_;
  bool inside_ = false;
};

}  // namespace

std::string in_quotes(std::string_view text) {
  using nlohmann::json;
  return json(std::string(text.substr(0, 64))).dump(-1, ' ', false, json::error_handler_t::replace);
}

TokenIds read_vocabulary(std::string_view json, const std::string& file) {
  VocabularyReader reader(file);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  return reader.take();
}

std::vector<std::string> bytes_by_id(const TokenIds& ids, const std::string& file) {
  const ByteAlphabet alphabet;
  std::vector<std::string> bytes(ids.size());
  std::vector<const std::string*> owner(ids.size(), nullptr);
  for (const auto& [token, id] : ids) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= ids.size()) {
      throw Error(file,
                  "token " + in_quotes(token) + ": id " + std::to_string(id) +
                      " in a vocabulary of " + std::to_string(ids.size()) + " tokens",
                  "ids must be 0 … n-1, each once");
    }
    if (owner[index] != nullptr) {
      const auto [first, second] = std::minmax(token, *owner[index]);
      throw Error(file,
                  "tokens " + in_quotes(first) + " and " + in_quotes(second) +
                      " have the same id " + std::to_string(id),
                  "ids must be 0 … n-1, each once");
    }
    owner[index] = &token;
    auto translated = alphabet.bytes_of(token);
    if (!translated) {
      throw Error(file, "token " + in_quotes(token) + " has a character that stands for no byte",
                  "pass the vocab.json of a byte-level tokenizer, as GPT-2's");
    }
    bytes[index] = std::move(*translated);
  }
  return bytes;
}

std::array<std::int32_t, byte_values> ids_of_bytes(const TokenIds& ids, const std::string& file) {
  constexpr auto characters = byte_characters();
  std::array<std::int32_t, byte_values> byte_ids{};
  for (std::size_t byte = 0; byte < byte_values; ++byte) {
    const std::string token = utf8(characters[byte]);
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw Error(file, "no token " + in_quotes(token) + " for byte " + std::to_string(byte),
                  "pass the vocab.json of a byte-level tokenizer, as GPT-2's");
    }
    byte_ids[byte] = found->second;
  }
  return byte_ids;
}

}  // namespace transformer
