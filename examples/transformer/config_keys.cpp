#include "transformer/config_keys.hpp"

#include <cmath>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/json_text.hpp>

namespace transformer {

using nash_swarm::Error;
using nash_swarm::printable_value;

ConfigKeys::ConfigKeys(std::string_view text, std::string file) : file_(std::move(file)) {
  json_ = nash_swarm::parse_json(file_, text, "download or export config.json again");
  if (!json_.is_object()) throw Error(file_, "not a JSON object", "pass a model's config.json");
}

std::size_t ConfigKeys::size(const char* key, std::size_t most) const {
  if (!has(key)) refuse(key, "missing", "add it or export config.json again");
  const nlohmann::json& value = json_.at(key);
  if (!value.is_number_unsigned() || value.get<std::size_t>() == 0 ||
      value.get<std::size_t>() > most) {
    refuse(key, printable_value(value) + " is not a whole number from 1 to " + std::to_string(most),
           "correct it or export config.json again");
  }
  return value.get<std::size_t>();
}

std::size_t ConfigKeys::size_or(const char* key, std::size_t most, std::size_t fallback) const {
  return has(key) ? size(key, most) : fallback;
}

float ConfigKeys::positive_or(const char* key, float fallback) const {
  if (!has(key)) return fallback;
  return positive(key, json_.at(key));
}

float ConfigKeys::positive(const char* key, const nlohmann::json& value) const {
  const float number = value.is_number() ? value.get<float>() : 0.0f;
  if (!(number > 0.0f) || !std::isfinite(number)) {
    refuse(key, printable_value(value) + " is not a positive number",
           "correct it or export config.json again");
  }
  return number;
}

bool ConfigKeys::flag_or(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const nlohmann::json& value = json_.at(key);
  if (!value.is_boolean()) {
    refuse(key, printable_value(value) + " is neither true nor false",
           "correct it or export config.json again");
  }
  return value.get<bool>();
}

void ConfigKeys::require(const char* key, const nlohmann::json& expected) const {
  if (!has(key) || json_.at(key) == expected) return;
  refuse(key, printable_value(json_.at(key)) + " is not supported",
         "only models with " + printable_value(expected) + " can be loaded");
}

void ConfigKeys::refuse(const char* key, const std::string& problem,
                        const std::string& remedy) const {
  throw Error(file_, "\"" + std::string(key) + "\": " + problem, remedy);
}

}  // namespace transformer
