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

#include "transformer/config.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/linear.hpp"
#include "transformer/norm.hpp"

namespace transformer {

/// LayerNorm, or without a bias RMSNorm.
struct Norm {
  std::string name;
  nash_swarm::AlignedBuffer<float> weight;  // [n_embd]
  nash_swarm::AlignedBuffer<float> bias;    // [n_embd], or empty
};

struct LayerMatrix {
  std::string name;
  std::unique_ptr<Linear> linear;
  nash_swarm::AlignedBuffer<float> bias;  // [out], or empty
};

/// The parts of a layer, in the order of computation. Matrices of a list read the same input, and
/// their outputs lie side by side.
struct Layer {
  Norm attention_norm;
  std::vector<LayerMatrix> attention_input;  // queries, keys, values, in one matrix or three
  LayerMatrix attention_output;              // [n_embd, n_embd]
  Norm mlp_norm;
  std::vector<LayerMatrix> mlp_input;  // [n_inner, n_embd]; two if the activation is gated
  LayerMatrix mlp_output;              // [n_embd, n_inner]
};

/// A decoder as its parts. Whether a matrix is float or packed is known to its Linear alone.
struct Model {
  Config config;
  std::unique_ptr<TokenEmbedding> token_embedding;
  FloatMatrix position_embedding;  // [position_offset + n_ctx, n_embd], or empty
  std::vector<Layer> layers;
  Norm final_norm;
};

/// Calls `visit(name, values)` for every norm's weight and bias and every matrix's bias.
void for_each_vector(
    Model& model,
    const std::function<void(const std::string& tensor, std::span<float> values)>& visit);

/// The parameters of a norm for `normalise`.
NormParameters parameters_of(const Config& config, const Norm& norm);

/// Columns of queries, keys and values together.
std::size_t attention_columns(const Config& config);
/// Columns that go into the activation.
std::size_t activation_columns(const Config& config);

/// Names under which the inputs of attention and activation are observed.
std::string attention_part(std::size_t layer);
std::string activation_part(std::size_t layer);

/// Where the parts of a model come from: a checkpoint, a packed file.
struct PartSource {
  /// All elements of a tensor such as "h.0.ln_1.weight", in stored order.
  std::function<nash_swarm::AlignedBuffer<float>(const std::string& tensor)> floats;
  /// The multiplication by a matrix such as "h.0.attn.c_attn".
  std::function<std::unique_ptr<Linear>(const std::string& matrix)> linear;
  /// A token embedding [vocabulary, n_embd], as the head as well if it is tied.
  std::function<std::unique_ptr<TokenEmbedding>(const std::string& matrix)> embedding;
};

/// Puts a model together.
/// @throws nash_swarm::Error naming the part whose size does not fit the config
Model assemble_model(const Config& config, const PartSource& source);

/// The token embedding, and the head, alone.
std::unique_ptr<TokenEmbedding> assemble_embedding(const Config& config, const PartSource& source);

/// Keys and values of the tokens that one sequence has run so far.
class KeyValueCache {
 public:
  /// @param capacity most tokens of the sequence, at most n_ctx
  KeyValueCache(const Config& config, std::size_t capacity);

  std::size_t length() const noexcept { return length_; }
  std::size_t capacity() const noexcept { return capacity_; }
  /// [capacity, key_width] of a layer; rows from length() on are free.
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

/// Called with the name of a part and its input [tokens, in] before it is computed: norms, matrices
/// (once for all that read the same input, with the name of the first), attention (queries, keys
/// and values, not yet turned by their positions), activations; the head gets the final hidden
/// states.
using InputObserver =
    std::function<void(const std::string& part, nash_swarm::TensorView<const float, 2> input)>;

/// Runs sequences of equal length, one after the other in `tokens`, each from position 0. The whole
/// batch goes through a layer before the next one, so that weights are streamed once per batch.
/// Takes about 4·(2·n_embd + max(attention_columns, activation_columns)) bytes per token.
/// @return hidden states after the final norm, [tokens, n_embd]
/// @throws nash_swarm::Error if a token is not in the vocabulary or a sequence does not fit n_ctx
FloatMatrix hidden_states(const Model& model, std::span<const std::int32_t> tokens,
                          std::size_t sequences, nash_swarm::ThreadPool& pool,
                          const InputObserver& observer = {});

/// Runs the next tokens of the one sequence whose past is in `cache`, and adds them to it.
/// @return hidden states after the final norm, [tokens, n_embd]
/// @throws nash_swarm::Error if a token is not in the vocabulary or the cache is full
FloatMatrix hidden_states(const Model& model, std::span<const std::int32_t> tokens,
                          KeyValueCache& cache, nash_swarm::ThreadPool& pool,
                          const InputObserver& observer = {});

}  // namespace transformer
