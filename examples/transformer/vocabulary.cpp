#include "transformer/vocabulary.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nlohmann/json.hpp>

namespace transformer {
namespace {

using nash_swarm::Error;

constexpr const char* whole_range = "ids must be 0 … n-1, each once";
constexpr const char* every_byte_needs_one =
    "pass the vocabulary of a tokenizer that can spell every byte, as GPT-2's";

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
    add_token(ids_, token_, id, file_);
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

void add_token(TokenIds& ids, const std::string& token, std::uint64_t id, const std::string& file) {
  if (id > static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error(file, "token " + in_quotes(token) + ": id " + std::to_string(id) + " is too large",
                whole_range);
  }
  if (!ids.emplace(token, static_cast<std::int32_t>(id)).second) {
    throw Error(file, "token " + in_quotes(token) + " is listed twice", download_again);
  }
}

std::vector<std::string_view> tokens_by_id(const TokenIds& ids, const std::string& file) {
  std::vector<const std::string*> owner(ids.size(), nullptr);
  for (const auto& [token, id] : ids) {
    const auto index = static_cast<std::size_t>(id);
    if (index >= ids.size()) {
      throw Error(file,
                  "token " + in_quotes(token) + ": id " + std::to_string(id) +
                      " in a vocabulary of " + std::to_string(ids.size()) + " tokens",
                  whole_range);
    }
    if (owner[index] != nullptr) {
      const auto [first, second] = std::minmax(token, *owner[index]);
      throw Error(file,
                  "tokens " + in_quotes(first) + " and " + in_quotes(second) +
                      " have the same id " + std::to_string(id),
                  whole_range);
    }
    owner[index] = &token;
  }
  std::vector<std::string_view> tokens;
  for (const std::string* token : owner) tokens.push_back(*token);
  return tokens;
}

std::optional<std::int32_t> end_of_text_in(const TokenIds& ids) {
  const auto found = ids.find("<|endoftext|>");
  if (found == ids.end()) return std::nullopt;
  return found->second;
}

std::array<std::int32_t, byte_values> ids_of_bytes(const TokenIds& ids,
                                                   const ByteSpelling& spelling,
                                                   const std::string& file) {
  std::array<std::int32_t, byte_values> byte_ids{};
  for (std::size_t byte = 0; byte < byte_values; ++byte) {
    const auto found = ids.find(spelling[byte]);
    if (found == ids.end()) {
      throw Error(file,
                  "no token " + in_quotes(spelling[byte]) + " for byte " + std::to_string(byte),
                  every_byte_needs_one);
    }
    byte_ids[byte] = found->second;
  }
  return byte_ids;
}

}  // namespace transformer
