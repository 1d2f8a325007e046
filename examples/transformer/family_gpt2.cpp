#include "transformer/family.hpp"

namespace transformer {
namespace {

std::size_t context_length(const ConfigKeys& keys) {
  if (!keys.has("n_positions")) return keys.size("n_ctx", most_features);
  const std::size_t positions = keys.size("n_positions", most_features);
  if (keys.has("n_ctx") && keys.size("n_ctx", most_features) != positions) {
    keys.refuse("n_ctx", "differs from \"n_positions\"", "make both the rows of wpe.weight");
  }
  return positions;
}

struct Gpt2 {
  static Config parse(const ConfigKeys& keys) {
    keys.require("activation_function", "gelu_new");
    keys.require("tie_word_embeddings", true);
    keys.require("scale_attn_weights", true);
    keys.require("scale_attn_by_inverse_layer_idx", false);
    keys.require("add_cross_attention", false);
    Config config;
    config.n_embd = keys.size("n_embd", most_features);
    config.n_layer = keys.size("n_layer", most_layers);
    config.n_head = config.n_head_kv = keys.size("n_head", most_features);
    config.n_ctx = context_length(keys);
    config.vocab_size = keys.size("vocab_size", largest_vocabulary);
    config.n_inner = keys.size_or("n_inner", most_features, 4 * config.n_embd);
    config.norm_epsilon = keys.positive_or("layer_norm_epsilon", config.norm_epsilon);
    return config;
  }

  static LayerParts layer(const Config& config, std::size_t index) {
    const std::string prefix = "h." + std::to_string(index) + ".";
    const std::size_t width = config.n_embd;
    return {prefix + "ln_1",
            {{prefix + "attn.c_attn", 3 * width, width, true}},
            {prefix + "attn.c_proj", width, width, true},
            prefix + "ln_2",
            {{prefix + "mlp.c_fc", config.n_inner, width, true}},
            {prefix + "mlp.c_proj", width, config.n_inner, true}};
  }

  static EndParts ends(const Config&) { return {"wte", "wpe", "ln_f", "lm_head"}; }

  /// Causal masks.
  static bool is_no_weight(std::string_view name) {
    const std::string_view rest = after_layer_number(name, "h.");
    return rest == ".attn.bias" || rest == ".attn.masked_bias";
  }
};

}  // namespace

/// Radford et al. 2019. Layer matrices are what its authors call Conv1D, [in, out].
const Family gpt2_family = {"gpt2",      "transformer.", true,       {"n_embd", "n_head", "n_head"},
                            Gpt2::parse, Gpt2::layer,    Gpt2::ends, Gpt2::is_no_weight};

}  // namespace transformer
