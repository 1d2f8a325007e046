#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <span>
#include <string>
#include <vector>

#include "gpt2/config.hpp"
#include "gpt2/float_matrix.hpp"
#include "gpt2/linear.hpp"

namespace gpt2 {

struct LayerNorm {
  nash_swarm::AlignedBuffer<float> weight;  // [n_embd]
  nash_swarm::AlignedBuffer<float> bias;    // [n_embd]
};

struct Layer {
  LayerNorm ln_1;
  std::unique_ptr<Linear> c_attn;  // [3·n_embd, n_embd]: queries, keys, values
  nash_swarm::AlignedBuffer<float> c_attn_bias;
  std::unique_ptr<Linear> attn_c_proj;  // [n_embd, n_embd]
  nash_swarm::AlignedBuffer<float> attn_c_proj_bias;
  LayerNorm ln_2;
  std::unique_ptr<Linear> c_fc;  // [n_inner, n_embd]
  nash_swarm::AlignedBuffer<float> c_fc_bias;
  std::unique_ptr<Linear> mlp_c_proj;  // [n_embd, n_inner]
  nash_swarm::AlignedBuffer<float> mlp_c_proj_bias;
};

/// A GPT-2 (Radford et al. 2019) as its parts. Whether a matrix is float or packed is known to its
/// Linear alone.
struct Model {
  Config config;
  std::unique_ptr<TokenEmbedding> token_embedding;  // wte, the head as well
  FloatMatrix position_embedding;                   // wpe [n_ctx, n_embd]
  std::vector<Layer> layers;
  LayerNorm ln_f;
};

/// Where the parts of a model come from: a checkpoint, a packed file.
struct PartSource {
  /// All elements of a tensor such as "h.0.ln_1.weight", in stored order.
  std::function<nash_swarm::AlignedBuffer<float>(const std::string& tensor)> floats;
  /// The multiplication by a block matrix such as "h.0.attn.c_attn".
  std::function<std::unique_ptr<Linear>(const std::string& matrix)> linear;
  std::function<std::unique_ptr<TokenEmbedding>()> token_embedding;
};

/// Puts a model together.
/// @throws nash_swarm::Error naming the part whose size does not fit the config
Model assemble_model(const Config& config, const PartSource& source);

/// Keys and values of the tokens that one sequence has run so far.
class KeyValueCache {
 public:
  /// @param capacity most tokens of the sequence, at most n_ctx
  KeyValueCache(const Config& config, std::size_t capacity);

  std::size_t length() const noexcept { return length_; }
  std::size_t capacity() const noexcept { return capacity_; }
  /// [capacity, n_embd] of a layer; rows from length() on are free.
  nash_swarm::TensorView<float, 2> keys(std::size_t layer) { return keys_[layer].view(); }
  nash_swarm::TensorView<float, 2> values(std::size_t layer) { return values_[layer].view(); }

  /// Counts `tokens` more rows, which are filled in every layer.
  void advance(std::size_t tokens) noexcept { length_ += tokens; }
  void clear() noexcept { length_ = 0; }

 private:
  std::vector<FloatMatrix> keys_;
  std::vector<FloatMatrix> values_;
  std::size_t capacity_;
  std::size_t length_ = 0;
};

/// Called with the name of a part and its input [tokens, in] before it is computed: matrices (as
/// which "wte" gets the final hidden states), layer norms ("h.0.ln_1", "ln_f"), attention
/// ("h.0.attn", which gets queries, keys and values) and activations ("h.0.mlp.gelu").
using InputObserver =
    std::function<void(const std::string& part, nash_swarm::TensorView<const float, 2> input)>;

/// Runs sequences of equal length, one after the other in `tokens`, each from position 0. The whole
/// batch goes through a layer before the next one, so that weights are streamed once per batch.
/// Takes about 4·(2·n_embd + max(3·n_embd, n_inner)) bytes per token.
/// @return hidden states after the final layer norm, [tokens, n_embd]
/// @throws nash_swarm::Error if a token is not in the vocabulary or a sequence does not fit n_ctx
FloatMatrix hidden_states(const Model& model, std::span<const std::int32_t> tokens,
                          std::size_t sequences, nash_swarm::ThreadPool& pool,
                          const InputObserver& observer = {});

/// Runs the next tokens of the one sequence whose past is in `cache`, and adds them to it.
/// @return hidden states after the final layer norm, [tokens, n_embd]
/// @throws nash_swarm::Error if a token is not in the vocabulary or the cache is full
FloatMatrix hidden_states(const Model& model, std::span<const std::int32_t> tokens,
                          KeyValueCache& cache, nash_swarm::ThreadPool& pool,
                          const InputObserver& observer = {});

}  // namespace gpt2
