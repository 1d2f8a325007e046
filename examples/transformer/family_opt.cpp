#include "transformer/family.hpp"

namespace transformer {
namespace {

struct Opt {
  static Config parse(const ConfigKeys& keys) {
    keys.require("activation_function", "relu");
    keys.require("do_layer_norm_before", true);
    keys.require("_remove_final_layer_norm", false);
    keys.require("layer_norm_elementwise_affine", true);
    keys.require("enable_bias", true);
    keys.require("tie_word_embeddings", true);
    Config config;
    config.n_embd = keys.size("hidden_size", most_features);
    config.n_layer = keys.size("num_hidden_layers", most_layers);
    config.n_head = config.n_head_kv = keys.size("num_attention_heads", most_features);
    config.n_ctx = keys.size("max_position_embeddings", most_features);
    config.vocab_size = keys.size("vocab_size", largest_vocabulary);
    config.n_inner = keys.size("ffn_dim", most_features);
    config.activation = Activation::relu;
    config.position_offset = 2;
    keys.require("word_embed_proj_dim", config.n_embd);
    return config;
  }

  static LayerParts layer(const Config& config, std::size_t index) {
    const std::string prefix = "decoder.layers." + std::to_string(index) + ".";
    const std::size_t width = config.n_embd;
    return {prefix + "self_attn_layer_norm",
            {{prefix + "self_attn.q_proj", width, width, true},
             {prefix + "self_attn.k_proj", width, width, true},
             {prefix + "self_attn.v_proj", width, width, true}},
            {prefix + "self_attn.out_proj", width, width, true},
            prefix + "final_layer_norm",
            {{prefix + "fc1", config.n_inner, width, true}},
            {prefix + "fc2", width, config.n_inner, true}};
  }

  static EndParts ends(const Config&) {
    return {"decoder.embed_tokens", "decoder.embed_positions", "decoder.final_layer_norm",
            "lm_head"};
  }

  static bool is_no_weight(std::string_view) { return false; }
};

}  // namespace

/// Zhang et al. 2022, but for its 350M, which norms after its matrices and projects its embedding.
const Family opt_family = {
    "opt",      "model.",
    false,      {"hidden_size", "num_attention_heads", "num_attention_heads"},
    Opt::parse, Opt::layer,
    Opt::ends,  Opt::is_no_weight};

}  // namespace transformer
