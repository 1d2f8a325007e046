#include "tensor_names.hpp"

#include <algorithm>
#include <array>
#include <span>

namespace gguf {
namespace {

/// Names without ".weight", and in layers without what numbers them.
struct NamePair {
  std::string_view from;
  std::string_view to;
};

struct Names {
  std::string_view architecture;
  std::string_view prefix;  // may be absent
  std::string_view layer;   // what precedes the number of a layer
  std::span<const NamePair> in_layer;
  std::span<const NamePair> outside;
};

constexpr std::array<NamePair, 6> gpt2_in_layer{{{"ln_1", "attn_norm"},
                                                 {"attn.c_attn", "attn_qkv"},
                                                 {"attn.c_proj", "attn_output"},
                                                 {"ln_2", "ffn_norm"},
                                                 {"mlp.c_fc", "ffn_up"},
                                                 {"mlp.c_proj", "ffn_down"}}};
constexpr std::array<NamePair, 4> gpt2_outside{{{"wte", "token_embd"},
                                                {"wpe", "position_embd"},
                                                {"ln_f", "output_norm"},
                                                {"lm_head", "output"}}};
constexpr std::array<NamePair, 9> llama_in_layer{{{"input_layernorm", "attn_norm"},
                                                  {"self_attn.q_proj", "attn_q"},
                                                  {"self_attn.k_proj", "attn_k"},
                                                  {"self_attn.v_proj", "attn_v"},
                                                  {"self_attn.o_proj", "attn_output"},
                                                  {"post_attention_layernorm", "ffn_norm"},
                                                  {"mlp.gate_proj", "ffn_gate"},
                                                  {"mlp.up_proj", "ffn_up"},
                                                  {"mlp.down_proj", "ffn_down"}}};
constexpr std::array<NamePair, 3> llama_outside{
    {{"embed_tokens", "token_embd"}, {"norm", "output_norm"}, {"lm_head", "output"}}};

constexpr std::array<Names, 2> architectures{
    {{"gpt2", "transformer.", "h.", gpt2_in_layer, gpt2_outside},
     {"llama", "model.", "layers.", llama_in_layer, llama_outside}}};

std::optional<std::string_view> find_name(std::span<const NamePair> pairs, std::string_view name) {
  for (const NamePair& pair : pairs) {
    if (pair.from == name) return pair.to;
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> gguf_name(std::string_view architecture, std::string_view name) {
  const auto names =
      std::find_if(architectures.begin(), architectures.end(),
                   [&](const Names& known) { return known.architecture == architecture; });
  if (names == architectures.end()) return std::nullopt;
  std::string ending = ".weight";
  for (const std::string_view end : {".weight", ".bias"}) {
    if (!name.ends_with(end)) continue;
    ending = end;
    name.remove_suffix(end.size());
    break;
  }
  if (name.starts_with(names->prefix)) name.remove_prefix(names->prefix.size());
  if (!name.starts_with(names->layer)) {
    const std::optional<std::string_view> found = find_name(names->outside, name);
    return found ? std::optional(std::string(*found) + ending) : std::nullopt;
  }
  name.remove_prefix(names->layer.size());
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  if (digits == 0 || digits == name.size() || name[digits] != '.') return std::nullopt;
  const std::optional<std::string_view> found = find_name(names->in_layer, name.substr(digits + 1));
  if (!found) return std::nullopt;
  return "blk." + std::string(name.substr(0, digits + 1)) + std::string(*found) + ending;
}

bool is_quantizable(std::string_view name, std::size_t dimensions) {
  if (dimensions < 2 || !name.ends_with("weight")) return false;
  constexpr std::array<std::string_view, 8> kept{"_norm.weight",
                                                 "ffn_gate_inp.weight",
                                                 "position_embd.weight",
                                                 "token_types.weight",
                                                 "attn_rel_b.weight",
                                                 "ssm_conv1d",
                                                 "altup",
                                                 "laurel"};
  return std::none_of(kept.begin(), kept.end(), [&](std::string_view part) {
    return name.find(part) != std::string_view::npos;
  });
}

}  // namespace gguf
