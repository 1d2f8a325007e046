#include "transformer/config.hpp"

#include <algorithm>

#include <nash_swarm/io/json_text.hpp>

#include "transformer/config_keys.hpp"
#include "transformer/family.hpp"

namespace transformer {
namespace {

const Family& family_of(const ConfigKeys& keys) {
  if (!keys.has("model_type")) return gpt2_family;  // early exports do not state it
  std::string known;
  for (const Family* family : families) {
    if (keys.at("model_type") == family->model_type) return *family;
    known += (known.empty() ? "" : ", ") + std::string(family->model_type);
  }
  keys.refuse("model_type",
              nash_swarm::printable_value(keys.at("model_type")) + " is not supported",
              "use a model of one of " + known);
}

void check_heads(const ConfigKeys& keys, const Config& config) {
  const HeadKeys& names = config.family->head_keys;
  const auto refuse = [&](const char* key, std::size_t value, const std::string& problem,
                          const char* remedy) {
    keys.refuse(key, std::to_string(value) + " " + problem, remedy);
  };
  if (config.n_embd % config.n_head != 0) {
    refuse(names.heads, config.n_head,
           "does not divide \"" + std::string(names.width) + "\" " + std::to_string(config.n_embd),
           "every head needs the same number of channels");
  }
  if (config.n_head % config.n_head_kv != 0) {
    refuse(names.key_value_heads, config.n_head_kv,
           "does not divide \"" + std::string(names.heads) + "\" " + std::to_string(config.n_head),
           "every key-value head serves the same number of heads");
  }
  if (config.rotary_base != 0.0f && config.head_size() % 2 != 0) {
    refuse(names.heads, config.n_head,
           "gives heads of " + std::to_string(config.head_size()) +
               " channels, and the rotary embedding turns pairs",
           "heads need an even number of channels");
  }
}

}  // namespace

std::string_view after_layer_number(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return {};
  name.remove_prefix(prefix.size());
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  return digits == 0 ? std::string_view() : name.substr(digits);
}

Config parse_config(std::string_view json, const std::string& name) {
  const ConfigKeys keys(json, name);
  const Family& family = family_of(keys);
  Config config = family.parse(keys);
  config.family = &family;
  check_heads(keys, config);
  return config;
}

}  // namespace transformer
