#include "gpt2/model.hpp"

#include <algorithm>
#include <array>
#include <nash_swarm/core/error.hpp>
#include <utility>

#include "gpt2/attention.hpp"
#include "gpt2/elementwise.hpp"

namespace gpt2 {
namespace {

using nash_swarm::AlignedBuffer;
using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

std::span<const float> all_of(const AlignedBuffer<float>& buffer) {
  return {buffer.data(), buffer.size()};
}

AlignedBuffer<float> checked_floats(const PartSource& source, const std::string& tensor,
                                    std::size_t size) {
  AlignedBuffer<float> floats = source.floats(tensor);
  if (floats.size() != size) {
    throw Error(tensor, "has " + std::to_string(floats.size()) + " elements, the config asks for " +
                            std::to_string(size));
  }
  return floats;
}

void check_matrix(const std::string& name, std::size_t out, std::size_t in, std::size_t true_out,
                  std::size_t true_in) {
  if (out == true_out && in == true_in) return;
  throw Error(name, "is [" + std::to_string(true_out) + ", " + std::to_string(true_in) +
                        "], the config asks for [" + std::to_string(out) + ", " +
                        std::to_string(in) + "]");
}

std::unique_ptr<Linear> checked_linear(const PartSource& source, const std::string& name,
                                       std::size_t out, std::size_t in) {
  std::unique_ptr<Linear> linear = source.linear(name);
  check_matrix(name, out, in, linear->out_features(), linear->in_features());
  return linear;
}

LayerNorm assemble_norm(const PartSource& source, const std::string& name, std::size_t n_embd) {
  return {checked_floats(source, name + ".weight", n_embd),
          checked_floats(source, name + ".bias", n_embd)};
}

Layer assemble_layer(const Config& config, const PartSource& source, const std::string& prefix) {
  const std::size_t width = config.n_embd;
  const auto linear = [&](const char* name, std::size_t out, std::size_t in) {
    return checked_linear(source, prefix + name, out, in);
  };
  const auto bias = [&](const char* name, std::size_t size) {
    return checked_floats(source, prefix + name + ".bias", size);
  };
  Layer layer;
  layer.ln_1 = assemble_norm(source, prefix + "ln_1", width);
  layer.c_attn = linear("attn.c_attn", 3 * width, width);
  layer.c_attn_bias = bias("attn.c_attn", 3 * width);
  layer.attn_c_proj = linear("attn.c_proj", width, width);
  layer.attn_c_proj_bias = bias("attn.c_proj", width);
  layer.ln_2 = assemble_norm(source, prefix + "ln_2", width);
  layer.c_fc = linear("mlp.c_fc", config.n_inner, width);
  layer.c_fc_bias = bias("mlp.c_fc", config.n_inner);
  layer.mlp_c_proj = linear("mlp.c_proj", width, config.n_inner);
  layer.mlp_c_proj_bias = bias("mlp.c_proj", width);
  return layer;
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
        sequences_(sequences),
        cache_(cache),
        pool_(pool),
        observer_(observer),
        hidden_(tokens.size(), model.config.n_embd),
        narrow_(tokens.size(), model.config.n_embd),
        wide_(tokens.size() * std::max(3 * model.config.n_embd, model.config.n_inner)) {
    embed(tokens);
  }

  FloatMatrix run() && {
    for (std::size_t index = 0; index < model_.layers.size(); ++index) {
      attention_block(index);
      mlp_block(index);
    }
    normalise("ln_f", model_.ln_f);
    observe("wte", narrow_.view());
    return std::move(narrow_);
  }

 private:
  void embed(std::span<const std::int32_t> tokens) {
    model_.token_embedding->lookup(tokens, hidden_.view());
    const std::size_t past = cache_ == nullptr ? 0 : cache_->length();
    const std::size_t length = tokens.size() / sequences_;
    const TensorView<const float, 2> positions = model_.position_embedding.view();
    for (std::size_t token = 0; token < tokens.size(); ++token) {
      float* const row = hidden_.view()[token].data();
      const float* const position = positions[past + token % length].data();
      for (std::size_t k = 0; k < hidden_.columns(); ++k) row[k] += position[k];
    }
  }

  void attention_block(std::size_t index) {
    const Layer& layer = model_.layers[index];
    const std::size_t width = model_.config.n_embd;
    normalise(part(index, "ln_1"), layer.ln_1);
    const TensorView<float, 2> mixed = wide(3 * width);
    multiply(index, "attn.c_attn", *layer.c_attn, narrow_.view(), mixed);
    add_bias(mixed, all_of(layer.c_attn_bias), pool_);
    observe(part(index, "attn"), mixed);
    attend(index, mixed.slice(1, 0, width), mixed.slice(1, width, 2 * width),
           mixed.slice(1, 2 * width, 3 * width));
    const TensorView<float, 2> update = wide(width);
    multiply(index, "attn.c_proj", *layer.attn_c_proj, narrow_.view(), update);
    add_residual(hidden_.view(), update, all_of(layer.attn_c_proj_bias), pool_);
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
                     by_sequence(values, sequences_), model_.config.n_head,
                     by_sequence(narrow_.view(), sequences_), pool_);
  }

  void mlp_block(std::size_t index) {
    const Layer& layer = model_.layers[index];
    normalise(part(index, "ln_2"), layer.ln_2);
    const TensorView<float, 2> inner = wide(model_.config.n_inner);
    multiply(index, "mlp.c_fc", *layer.c_fc, narrow_.view(), inner);
    add_bias(inner, all_of(layer.c_fc_bias), pool_);
    observe(part(index, "mlp.gelu"), inner);
    gelu(inner, pool_);
    multiply(index, "mlp.c_proj", *layer.mlp_c_proj, inner, narrow_.view());
    add_residual(hidden_.view(), narrow_.view(), all_of(layer.mlp_c_proj_bias), pool_);
  }

  void normalise(const std::string& name, const LayerNorm& norm) {
    observe(name, hidden_.view());
    layer_norm(hidden_.view(), all_of(norm.weight), all_of(norm.bias),
               model_.config.layer_norm_epsilon, narrow_.view(), pool_);
  }

  static std::string part(std::size_t index, const char* name) {
    return "h." + std::to_string(index) + "." + name;
  }

  void multiply(std::size_t index, const char* name, const Linear& linear,
                TensorView<const float, 2> x, TensorView<float, 2> y) {
    observe(part(index, name), x);
    linear.apply(x, y, pool_);
  }

  void observe(const std::string& name, TensorView<const float, 2> input) {
    if (observer_) observer_(name, input);
  }

  /// The wide buffer as [tokens, features].
  TensorView<float, 2> wide(std::size_t features) {
    return {wide_.data(), {hidden_.rows(), features}};
  }

  const Model& model_;
  std::size_t sequences_;
  KeyValueCache* cache_;
  ThreadPool& pool_;
  const InputObserver& observer_;
  FloatMatrix hidden_;
  FloatMatrix narrow_;
  AlignedBuffer<float> wide_;
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

Model assemble_model(const Config& config, const PartSource& source) {
  Model model;
  model.config = config;
  model.token_embedding = source.token_embedding();
  check_matrix("wte", config.vocab_size, config.n_embd, model.token_embedding->vocabulary_size(),
               model.token_embedding->width());
  model.position_embedding = FloatMatrix(config.n_ctx, config.n_embd);
  const AlignedBuffer<float> positions =
      checked_floats(source, "wpe.weight", config.n_ctx * config.n_embd);
  std::copy(positions.begin(), positions.end(), model.position_embedding.view().data());
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    model.layers.push_back(assemble_layer(config, source, "h." + std::to_string(layer) + "."));
  }
  model.ln_f = assemble_norm(source, "ln_f", config.n_embd);
  return model;
}

KeyValueCache::KeyValueCache(const Config& config, std::size_t capacity) : capacity_(capacity) {
  if (capacity == 0 || capacity > config.n_ctx) {
    throw Error(
        "KeyValueCache",
        "capacity " + std::to_string(capacity) + " is not in 1 … " + std::to_string(config.n_ctx),
        "use at most the context of the model");
  }
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    keys_.emplace_back(capacity, config.n_embd);
    values_.emplace_back(capacity, config.n_embd);
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

}  // namespace gpt2
