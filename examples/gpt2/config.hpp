#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gpt2 {

/// Sizes of a GPT-2, under the names of Hugging Face's config.json.
struct Config {
  std::size_t n_embd = 0;
  std::size_t n_layer = 0;
  std::size_t n_head = 0;
  std::size_t n_ctx = 0;
  std::size_t vocab_size = 0;
  std::size_t n_inner = 0;
  float layer_norm_epsilon = 1e-5f;

  std::size_t head_size() const noexcept { return n_embd / n_head; }
};

/// Reads config.json; absent optional keys take the defaults of Hugging Face.
/// @param name file name for messages
/// @throws nash_swarm::Error naming file and key, if the text is not JSON, a size is missing or out
/// of range, or the model is a variant that the forward pass does not compute
Config parse_config(std::string_view json, const std::string& name);

/// A weight matrix [out, in] that a multiplication reads.
struct MatrixShape {
  std::string name;
  std::size_t out = 0;
  std::size_t in = 0;
};

/// The block matrices "h.0.attn.c_attn" … in the order of computation, then "wte", which is both
/// the token embedding and the head.
std::vector<MatrixShape> matrix_shapes(const Config& config);

/// A tensor that no multiplication reads: position embedding, biases, layer norms.
struct TensorShape {
  std::string name;
  std::vector<std::size_t> shape;
};

/// "wpe.weight", then the layers' tensors "h.0.ln_1.weight" …, then "ln_f.weight", "ln_f.bias".
std::vector<TensorShape> other_tensor_shapes(const Config& config);

}  // namespace gpt2
