#include <nash_swarm/io/json_text.hpp>

#include "transformer/family.hpp"

namespace transformer {
namespace {

/// Older configs have "rope_theta" and "rope_scaling", newer ones "rope_parameters" with both.
float rotary_base(const ConfigKeys& keys) {
  constexpr const char* remedy = "only models whose rotary embedding is not scaled can be loaded";
  for (const char* const key : {"rope_scaling", "rope_parameters"}) {
    if (!keys.has(key)) continue;
    const nlohmann::json& options = keys.at(key);
    if (!options.is_object()) {
      keys.refuse(key, nash_swarm::printable_value(options) + " is not supported", remedy);
    }
    for (const char* const name : {"rope_type", "type"}) {
      const auto type = options.find(name);
      if (type == options.end() || *type == "default") continue;
      keys.refuse(key, nash_swarm::printable_value(*type) + " is not supported", remedy);
    }
    const auto theta = options.find("rope_theta");
    if (theta != options.end() && !theta->is_null()) return keys.positive("rope_theta", *theta);
  }
  return keys.positive_or("rope_theta", 10000.0f);
}

struct Llama {
  static Config parse(const ConfigKeys& keys) {
    keys.require("hidden_act", "silu");
    keys.require("attention_bias", false);
    keys.require("mlp_bias", false);
    keys.require("pretraining_tp", 1);
    keys.require("sliding_window", nullptr);
    keys.require("partial_rotary_factor", 1.0);
    Config config;
    config.n_embd = keys.size("hidden_size", most_features);
    config.n_layer = keys.size("num_hidden_layers", most_layers);
    config.n_head = keys.size("num_attention_heads", most_features);
    config.n_head_kv = keys.size_or("num_key_value_heads", most_features, config.n_head);
    config.n_ctx = keys.size_or("max_position_embeddings", most_features, 2048);
    config.vocab_size = keys.size("vocab_size", largest_vocabulary);
    config.n_inner = keys.size("intermediate_size", most_features);
    config.norm = NormKind::root_mean_square;
    config.norm_epsilon = keys.positive_or("rms_norm_eps", 1e-6f);
    config.activation = Activation::gated_silu;
    config.rotary_base = rotary_base(keys);
    config.tied_head = keys.flag_or("tie_word_embeddings", false);
    if (keys.has("head_dim")) keys.require("head_dim", config.n_embd / config.n_head);
    return config;
  }

  static LayerParts layer(const Config& config, std::size_t index) {
    const std::string prefix = "layers." + std::to_string(index) + ".";
    const std::size_t width = config.n_embd;
    return {prefix + "input_layernorm",
            {{prefix + "self_attn.q_proj", width, width},
             {prefix + "self_attn.k_proj", config.key_width(), width},
             {prefix + "self_attn.v_proj", config.key_width(), width}},
            {prefix + "self_attn.o_proj", width, width},
            prefix + "post_attention_layernorm",
            {{prefix + "mlp.gate_proj", config.n_inner, width},
             {prefix + "mlp.up_proj", config.n_inner, width}},
            {prefix + "mlp.down_proj", width, config.n_inner}};
  }

  static EndParts ends(const Config&) { return {"embed_tokens", "", "norm", "lm_head"}; }

  /// Frequencies of the rotary embedding.
  static bool is_no_weight(std::string_view name) {
    return after_layer_number(name, "layers.") == ".self_attn.rotary_emb.inv_freq";
  }
};

}  // namespace

/// Touvron et al. 2023, and Grattafiori et al. 2024 where the rotary embedding is not scaled.
const Family llama_family = {
    "llama",      "model.",
    false,        {"hidden_size", "num_attention_heads", "num_key_value_heads"},
    Llama::parse, Llama::layer,
    Llama::ends,  Llama::is_no_weight};

}  // namespace transformer
