#include "transformer/model.hpp"

#include <algorithm>
#include <array>
#include <nash_swarm/core/error.hpp>
#include <optional>
#include <utility>

#include "transformer/activation.hpp"
#include "transformer/attention.hpp"
#include "transformer/elementwise.hpp"
#include "transformer/model_shapes.hpp"
#include "transformer/rotary.hpp"

namespace transformer {
namespace {

using nash_swarm::AlignedBuffer;
using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

std::span<const float> all_of(const AlignedBuffer<float>& buffer) {
  return {buffer.data(), buffer.size()};
}

void copy_rows(TensorView<const float, 2> from, TensorView<float, 2> to) {
  for (std::size_t row = 0; row < from.extent(0); ++row) {
    std::copy_n(from.data() + row * from.stride(0), from.extent(1), to.data() + row * to.stride(0));
  }
}

/// The rows of equal-length sequences one after the other, as [sequences, length, features].
template <class T>
TensorView<T, 3> by_sequence(TensorView<T, 2> rows, std::size_t sequences) {
  const std::size_t length = rows.extent(0) / sequences;
  const std::array<std::size_t, 3> extents{sequences, length, rows.extent(1)};
  const std::array<std::size_t, 3> strides{length * rows.stride(0), rows.stride(0), rows.stride(1)};
  return {rows.data(), extents, strides};
}

/// One run of a batch through the model. Three buffers serve all layers: `hidden_` is the residual
/// stream; `narrow_` and `wide_` take turns as input and output of the matrices.
class ForwardPass {
 public:
  ForwardPass(const Model& model, std::span<const std::int32_t> tokens, std::size_t sequences,
              KeyValueCache* cache, ThreadPool& pool, const InputObserver& observer)
      : model_(model),
        config_(model.config),
        sequences_(sequences),
        cache_(cache),
        pool_(pool),
        observer_(observer),
        hidden_(FloatMatrix::for_overwrite(tokens.size(), config_.n_embd)),
        narrow_(FloatMatrix::for_overwrite(tokens.size(), config_.n_embd)),
        wide_(AlignedBuffer<float>::for_overwrite(
            tokens.size() * std::max(attention_columns(config_), activation_columns(config_)))) {
    const std::size_t past = cache == nullptr ? 0 : cache->length();
    const std::size_t length = tokens.size() / sequences;
    embed(tokens, past, length);
    if (config_.rotary_base != 0.0f) {
      rotary_.emplace(config_.rotary_base, config_.head_size(), past, length);
    }
  }

  FloatMatrix run() && {
    for (std::size_t index = 0; index < model_.layers.size(); ++index) {
      attention_block(index);
      mlp_block(index);
    }
    norm(model_.final_norm);
    observe(head_name(config_), narrow_.view());
    return std::move(narrow_);
  }

 private:
  void embed(std::span<const std::int32_t> tokens, std::size_t past, std::size_t length) {
    model_.token_embedding->lookup(tokens, hidden_.view());
    if (model_.position_embedding.rows() == 0) return;
    const TensorView<const float, 2> positions = model_.position_embedding.view();
    for (std::size_t token = 0; token < tokens.size(); ++token) {
      float* const row = hidden_.view()[token].data();
      const float* const position =
          positions[config_.position_offset + past + token % length].data();
      for (std::size_t k = 0; k < hidden_.columns(); ++k) row[k] += position[k];
    }
  }

  void attention_block(std::size_t index) {
    const Layer& layer = model_.layers[index];
    const std::size_t width = config_.n_embd;
    const std::size_t past_keys = width + config_.key_width();
    norm(layer.attention_norm);
    const TensorView<float, 2> mixed = wide(attention_columns(config_));
    multiply(layer.attention_input, narrow_.view(), mixed);
    observe(attention_part(index), mixed);
    if (rotary_) rotary_->rotate(mixed.slice(1, 0, past_keys), pool_);
    attend(index, mixed.slice(1, 0, width), mixed.slice(1, width, past_keys),
           mixed.slice(1, past_keys, mixed.extent(1)));
    add_to_stream(layer.attention_output, narrow_.view(), wide(width));
  }

  /// Attention over the batch's own keys and values, or over those of the cache after they have
  /// been added to it; the result goes to `narrow_`.
  void attend(std::size_t index, TensorView<const float, 2> queries,
              TensorView<const float, 2> keys, TensorView<const float, 2> values) {
    if (cache_ != nullptr) {
      const std::size_t begin = cache_->length();
      const std::size_t end = begin + queries.extent(0);
      copy_rows(keys, cache_->keys(index).slice(0, begin, end));
      copy_rows(values, cache_->values(index).slice(0, begin, end));
      keys = cache_->keys(index).slice(0, 0, end);
      values = cache_->values(index).slice(0, 0, end);
    }
    causal_attention(by_sequence(queries, sequences_), by_sequence(keys, sequences_),
                     by_sequence(values, sequences_), config_.n_head,
                     by_sequence(narrow_.view(), sequences_), pool_);
  }

  void mlp_block(std::size_t index) {
    const Layer& layer = model_.layers[index];
    norm(layer.mlp_norm);
    const TensorView<float, 2> inner = wide(activation_columns(config_));
    multiply(layer.mlp_input, narrow_.view(), inner);
    observe(activation_part(index), inner);
    activate(config_.activation, inner, pool_);
    add_to_stream(layer.mlp_output, inner.slice(1, 0, config_.n_inner), narrow_.view());
  }

  /// The residual stream, normed into `narrow_`.
  void norm(const Norm& norm) {
    observe(norm.name, hidden_.view());
    normalise(parameters_of(config_, norm), hidden_.view(), narrow_.view(), pool_);
  }

  /// The outputs of matrices that read the same input, with their biases, side by side.
  void multiply(const std::vector<LayerMatrix>& matrices, TensorView<const float, 2> x,
                TensorView<float, 2> y) {
    observe(matrices.front().name, x);
    const SharedInput input(x);
    std::size_t column = 0;
    for (const LayerMatrix& matrix : matrices) {
      const std::size_t begin = column;
      column += matrix.linear->out_features();
      const TensorView<float, 2> part = y.slice(1, begin, column);
      matrix.linear->apply(input, part, pool_);
      add_bias(part, all_of(matrix.bias), pool_);
    }
  }

  /// @param update the matrix's output, overwritten; may not be x
  void add_to_stream(const LayerMatrix& matrix, TensorView<const float, 2> x,
                     TensorView<float, 2> update) {
    observe(matrix.name, x);
    matrix.linear->apply(x, update, pool_);
    add_residual(hidden_.view(), update, all_of(matrix.bias), pool_);
  }

  void observe(const std::string& name, TensorView<const float, 2> input) {
    if (observer_) observer_(name, input);
  }

  /// The wide buffer as [tokens, features].
  TensorView<float, 2> wide(std::size_t features) {
    return {wide_.data(), {hidden_.rows(), features}};
  }

  const Model& model_;
  const Config& config_;
  std::size_t sequences_;
  KeyValueCache* cache_;
  ThreadPool& pool_;
  const InputObserver& observer_;
  FloatMatrix hidden_;
  FloatMatrix narrow_;
  AlignedBuffer<float> wide_;
  std::optional<RotaryTable> rotary_;
};

void check_tokens(const Model& model, std::span<const std::int32_t> tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && static_cast<std::size_t>(tokens[i]) < model.config.vocab_size) continue;
    throw Error("tokens",
                "token " + std::to_string(tokens[i]) + " at " + std::to_string(i) +
                    " is not in the vocabulary of " + std::to_string(model.config.vocab_size),
                "use the vocabulary of this model");
  }
}

}  // namespace

KeyValueCache::KeyValueCache(const Config& config, std::size_t capacity) : capacity_(capacity) {
  if (capacity == 0 || capacity > config.n_ctx) {
    throw Error(
        "KeyValueCache",
        "capacity " + std::to_string(capacity) + " is not in 1 … " + std::to_string(config.n_ctx),
        "use at most the context of the model");
  }
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    keys_.emplace_back(capacity, config.key_width());
    values_.emplace_back(capacity, config.key_width());
  }
}

FloatMatrix hidden_states(const Model& model, std::span<const std::int32_t> tokens,
                          std::size_t sequences, ThreadPool& pool, const InputObserver& observer) {
  check_tokens(model, tokens);
  if (sequences == 0 || tokens.empty() || tokens.size() % sequences != 0 ||
      tokens.size() / sequences > model.config.n_ctx) {
    throw Error("tokens",
                std::to_string(tokens.size()) + " tokens are not " + std::to_string(sequences) +
                    " sequences of equal length",
                "use 1 … " + std::to_string(model.config.n_ctx) + " tokens for each");
  }
  return ForwardPass(model, tokens, sequences, nullptr, pool, observer).run();
}

FloatMatrix hidden_states(const Model& model, std::span<const std::int32_t> tokens,
                          KeyValueCache& cache, ThreadPool& pool, const InputObserver& observer) {
  check_tokens(model, tokens);
  if (tokens.empty() || tokens.size() > cache.capacity() - cache.length()) {
    throw Error("tokens",
                std::to_string(tokens.size()) + " tokens do not fit a cache that holds " +
                    std::to_string(cache.length()) + " of " + std::to_string(cache.capacity()),
                "use at least 1 token and at most what is free");
  }
  FloatMatrix hidden = ForwardPass(model, tokens, 1, &cache, pool, observer).run();
  cache.advance(tokens.size());
  return hidden;
}

}  // namespace transformer
