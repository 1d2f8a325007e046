#include "transformer/tokenizer_json_part.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/json_text.hpp>

#include "transformer/vocabulary.hpp"

namespace transformer {
namespace {

constexpr std::size_t most_steps = 16;

}  // namespace

TokenizerJsonPart::TokenizerJsonPart(const nlohmann::json& json, const std::string& file,
                                     std::string place)
    : json_(&json), file_(&file), place_(std::move(place)) {
  if (!json.is_object()) refuse_damaged("is not a JSON object");
}

const nlohmann::json& TokenizerJsonPart::at(const char* key) const {
  static const nlohmann::json absent;
  const auto found = json_->find(key);
  return found == json_->end() ? absent : *found;
}

std::string TokenizerJsonPart::named(const char* key) const {
  return place_.empty() ? key : place_ + ", " + key;
}

std::string TokenizerJsonPart::placed(const std::string& problem) const {
  return place_.empty() ? problem : place_ + " " + problem;
}

TokenizerJsonPart TokenizerJsonPart::part(const char* key) const {
  return {at(key), *file_, named(key)};
}

const nlohmann::json& TokenizerJsonPart::list(const char* key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_array()) refuse_damaged(std::string(key) + " is not a list");
  return value;
}

const std::string& TokenizerJsonPart::text(const char* key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_string()) refuse_damaged(std::string(key) + " is not a text");
  return value.get_ref<const std::string&>();
}

bool TokenizerJsonPart::flag_or(const char* key, bool fallback) const {
  const nlohmann::json& value = at(key);
  if (value.is_null()) return fallback;
  if (!value.is_boolean()) refuse_damaged(std::string(key) + " is neither true nor false");
  return value.get<bool>();
}

std::uint64_t TokenizerJsonPart::number(const char* key) const {
  const nlohmann::json& value = at(key);
  if (!value.is_number_unsigned())
    refuse_damaged(std::string(key) + " is not a whole number from 0 up");
  return value.get<std::uint64_t>();
}

std::vector<TokenizerJsonPart> TokenizerJsonPart::steps(const char* key, const char* list) const {
  if (!has(key)) return {};
  const TokenizerJsonPart whole = part(key);
  if (whole.type() != "Sequence") return {whole};
  whole.allow({"type", list});
  std::vector<TokenizerJsonPart> steps;
  for (const nlohmann::json& step : whole.list(list)) steps.emplace_back(step, *file_, key);
  if (steps.size() > most_steps) whole.refuse("has more than 16 steps");
  return steps;
}

void TokenizerJsonPart::allow(std::initializer_list<std::string_view> keys) const {
  for (const auto& [key, value] : json_->items()) {
    if (std::ranges::find(keys, key) == keys.end()) {
      refuse(nash_swarm::printable(key) + " is not known here");
    }
  }
}

void TokenizerJsonPart::require(const char* key,
                                std::initializer_list<nlohmann::json> values) const {
  const nlohmann::json& value = at(key);
  if (std::ranges::find(values, value) != values.end()) return;
  refuse(std::string(key) + " " + nash_swarm::printable_value(value) + " is not known here");
}

void TokenizerJsonPart::refuse(const std::string& problem) const {
  throw nash_swarm::Error(*file_, placed(problem),
                          "use a model whose tokenizer is byte-level BPE as LLaMA 3's, or BPE with "
                          "byte_fallback as LLaMA 2's");
}

void TokenizerJsonPart::refuse_damaged(const std::string& problem) const {
  throw nash_swarm::Error(*file_, placed(problem), download_again);
}

void TokenizerJsonPart::refuse_type() const {
  refuse(nash_swarm::printable(type()) + " is not known here");
}

}  // namespace transformer
