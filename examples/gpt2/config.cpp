#include "gpt2/config.hpp"

#include <cmath>
#include <nash_swarm/core/error.hpp>
#include <nlohmann/json.hpp>

namespace gpt2 {
namespace {

using Json = nlohmann::json;
using nash_swarm::Error;

/// Far above any GPT-2, and small enough that no product of two sizes overflows.
constexpr std::size_t most_layers = 4096;
constexpr std::size_t most_features = std::size_t{1} << 24;
constexpr std::size_t largest_vocabulary = std::size_t{1} << 28;

/// The keys of one config.json, with messages that name file and key.
class Keys {
 public:
  Keys(std::string_view text, const std::string& file) : file_(file) {
    try {
      json_ = Json::parse(text);
    } catch (const Json::parse_error& error) {
      throw Error(file, "not valid JSON at byte " + std::to_string(error.byte),
                  "download or export config.json again");
    }
    if (!json_.is_object()) throw Error(file, "not a JSON object", "pass a GPT-2 config.json");
  }

  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }

  std::size_t size(const char* key, std::size_t most) const {
    if (!has(key)) refuse(key, "missing", "add it or export config.json again");
    const Json& value = json_.at(key);
    if (!value.is_number_unsigned() || value.get<std::size_t>() == 0 ||
        value.get<std::size_t>() > most) {
      refuse(key, value.dump() + " is not a whole number from 1 to " + std::to_string(most),
             "correct it or export config.json again");
    }
    return value.get<std::size_t>();
  }

  float epsilon(const char* key, float fallback) const {
    if (!has(key)) return fallback;
    const Json& value = json_.at(key);
    const float epsilon = value.is_number() ? value.get<float>() : 0.0f;
    if (!(epsilon > 0.0f) || !std::isfinite(epsilon)) {
      refuse(key, value.dump() + " is not a positive number", "GPT-2 uses 1e-5");
    }
    return epsilon;
  }

  /// Refuses any value but `expected`, which is also what an absent key means.
  void require(const char* key, const Json& expected) const {
    if (!has(key) || json_.at(key) == expected) return;
    refuse(key, json_.at(key).dump() + " is not supported",
           "only models with " + expected.dump() + " can be loaded");
  }

  [[noreturn]] void refuse(const char* key, const std::string& problem,
                           const std::string& remedy) const {
    throw Error(file_, "\"" + std::string(key) + "\": " + problem, remedy);
  }

 private:
  std::string file_;
  Json json_;
};

void require_plain_gpt2(const Keys& keys) {
  keys.require("model_type", "gpt2");
  keys.require("activation_function", "gelu_new");
  keys.require("tie_word_embeddings", true);
  keys.require("scale_attn_weights", true);
  keys.require("scale_attn_by_inverse_layer_idx", false);
  keys.require("add_cross_attention", false);
}

std::size_t context_length(const Keys& keys) {
  if (!keys.has("n_positions")) return keys.size("n_ctx", most_features);
  const std::size_t positions = keys.size("n_positions", most_features);
  if (keys.has("n_ctx") && keys.size("n_ctx", most_features) != positions) {
    keys.refuse("n_ctx", "differs from \"n_positions\"", "make both the rows of wpe.weight");
  }
  return positions;
}

std::string layer_prefix(std::size_t layer) {
  return "h." + std::to_string(layer) + ".";
}

}  // namespace

Config parse_config(std::string_view json, const std::string& name) {
  const Keys keys(json, name);
  require_plain_gpt2(keys);
  Config config;
  config.n_embd = keys.size("n_embd", most_features);
  config.n_layer = keys.size("n_layer", most_layers);
  config.n_head = keys.size("n_head", most_features);
  config.n_ctx = context_length(keys);
  config.vocab_size = keys.size("vocab_size", largest_vocabulary);
  config.n_inner = keys.has("n_inner") ? keys.size("n_inner", most_features) : 4 * config.n_embd;
  config.layer_norm_epsilon = keys.epsilon("layer_norm_epsilon", config.layer_norm_epsilon);
  if (config.n_embd % config.n_head != 0) {
    keys.refuse("n_head",
                std::to_string(config.n_head) + " does not divide \"n_embd\" " +
                    std::to_string(config.n_embd),
                "every head needs the same number of channels");
  }
  return config;
}

std::vector<MatrixShape> matrix_shapes(const Config& config) {
  std::vector<MatrixShape> shapes;
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string prefix = layer_prefix(layer);
    shapes.push_back({prefix + "attn.c_attn", 3 * config.n_embd, config.n_embd});
    shapes.push_back({prefix + "attn.c_proj", config.n_embd, config.n_embd});
    shapes.push_back({prefix + "mlp.c_fc", config.n_inner, config.n_embd});
    shapes.push_back({prefix + "mlp.c_proj", config.n_embd, config.n_inner});
  }
  shapes.push_back({"wte", config.vocab_size, config.n_embd});
  return shapes;
}

std::vector<TensorShape> other_tensor_shapes(const Config& config) {
  std::vector<TensorShape> shapes;
  shapes.push_back({"wpe.weight", {config.n_ctx, config.n_embd}});
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string prefix = layer_prefix(layer);
    shapes.push_back({prefix + "ln_1.weight", {config.n_embd}});
    shapes.push_back({prefix + "ln_1.bias", {config.n_embd}});
    shapes.push_back({prefix + "attn.c_attn.bias", {3 * config.n_embd}});
    shapes.push_back({prefix + "attn.c_proj.bias", {config.n_embd}});
    shapes.push_back({prefix + "ln_2.weight", {config.n_embd}});
    shapes.push_back({prefix + "ln_2.bias", {config.n_embd}});
    shapes.push_back({prefix + "mlp.c_fc.bias", {config.n_inner}});
    shapes.push_back({prefix + "mlp.c_proj.bias", {config.n_embd}});
  }
  shapes.push_back({"ln_f.weight", {config.n_embd}});
  shapes.push_back({"ln_f.bias", {config.n_embd}});
  return shapes;
}

}  // namespace gpt2
