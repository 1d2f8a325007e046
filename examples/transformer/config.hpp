#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace transformer {

struct Family;
extern const Family gpt2_family;

/// What a model subtracts and divides by before its matrices: LayerNorm takes mean and variance and
/// has a bias (Ba et al. 2016), RMSNorm the mean square alone (Zhang and Sennrich 2019).
enum class NormKind { layer, root_mean_square };

/// Between the matrices of an MLP. Gated: silu(gate) · up, of two matrices (Shazeer 2020).
enum class Activation { gelu_tanh, relu, gated_silu };

/// Sizes and options of a decoder, whatever its family calls them.
struct Config {
  const Family* family = &gpt2_family;
  std::size_t n_embd = 0;  ///< width of the residual stream
  std::size_t n_layer = 0;
  std::size_t n_head = 0;
  std::size_t n_head_kv = 0;  ///< heads of keys and values, a divisor of n_head
  std::size_t n_ctx = 0;      ///< longest sequence
  std::size_t vocab_size = 0;
  std::size_t n_inner = 0;  ///< width of an MLP
  NormKind norm = NormKind::layer;
  float norm_epsilon = 1e-5f;
  Activation activation = Activation::gelu_tanh;
  /// Base of the rotary position embedding (Su et al. 2021); 0 where positions are added.
  float rotary_base = 0.0f;
  std::size_t position_offset = 0;  ///< row of the position embedding for the first token
  bool tied_head = true;            ///< the token embedding is the head as well

  std::size_t head_size() const noexcept { return n_embd / n_head; }
  /// Width of the keys, and of the values.
  std::size_t key_width() const noexcept { return n_head_kv * head_size(); }
};

/// Reads config.json; absent optional keys take the defaults of Hugging Face.
/// @param name file name for messages
/// @throws nash_swarm::Error naming file and key, if the text is not JSON, the family is unknown, a
/// size is missing or out of range, or the model is a variant that the forward pass does not
/// compute
Config parse_config(std::string_view json, const std::string& name);

}  // namespace transformer
