#include "gpt2/backward.hpp"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/float_product.hpp>

#include "gpt2/attention.hpp"
#include "gpt2/eigen_view.hpp"
#include "gpt2/elementwise.hpp"
#include "gpt2/float_matrix.hpp"
#include "gpt2/loss.hpp"

namespace gpt2 {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// The inputs of all parts of a forward pass.
using Tape = std::map<std::string, FloatMatrix>;

/// softmax(logits) in place.
void softmax(RowMap logits) {
  logits = (logits - logits.maxCoeff()).exp();
  logits /= logits.sum();
}

/// The first token at which the cumulated probability exceeds `uniform`, from [0, 1).
std::size_t draw(std::span<const float> probabilities, double uniform) {
  double sum = 0.0;
  for (std::size_t token = 0; token < probabilities.size(); ++token) {
    sum += static_cast<double>(probabilities[token]);
    if (sum > uniform) return token;
  }
  return most_likely_token(probabilities);  // the sum was rounded below `uniform`
}

const FloatWeights& float_weights(const std::string& name, const Linear& linear) {
  if (const auto* matrix = dynamic_cast<const FloatLinear*>(&linear)) return matrix->weights();
  throw Error(name, "gradients of a packed matrix", "use the float model");
}

const FloatWeights& float_weights(const TokenEmbedding& embedding) {
  if (const auto* matrix = dynamic_cast<const FloatEmbedding*>(&embedding)) {
    return matrix->weights();
  }
  throw Error("wte", "gradients of a packed matrix", "use the float model");
}

class BackwardPass {
 public:
  BackwardPass(const Model& model, Tape tape, ThreadPool& pool, const GradientObserver& observer)
      : model_(model),
        tape_(std::move(tape)),
        pool_(pool),
        observer_(observer),
        tokens_(at("wte").extent(0)),
        dhidden_(tokens_, model.config.n_embd),
        dembedding_(model.config.vocab_size, model.config.n_embd) {}

  void run(std::span<const std::int32_t> tokens, const LogitGradient& logit_gradient) {
    FloatMatrix dnormal(tokens_, model_.config.n_embd);
    head(logit_gradient, dnormal.view());
    add_norm("ln_f", model_.ln_f, dnormal.view());
    for (std::size_t index = model_.layers.size(); index-- > observer_.first_layer;) {
      const std::string prefix = "h." + std::to_string(index) + ".";
      mlp_block(prefix, model_.layers[index]);
      attention_block(prefix, model_.layers[index]);
    }
    if (observer_.first_layer > 0) return;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      eigen_row(row_of(dembedding_.view(), static_cast<std::size_t>(tokens[t]))) +=
          eigen_row(row_of(std::as_const(dhidden_).view(), t));
    }
    observer_.token_embedding(at("wte"), dembedding_.view());
  }

 private:
  TensorView<const float, 2> at(const std::string& part) const { return tape_.at(part).view(); }

  /// Gradients by the final hidden states, and by the embedding as the head.
  void head(const LogitGradient& logit_gradient, TensorView<float, 2> dnormal) {
    const FloatWeights& weights = float_weights(*model_.token_embedding);
    const std::size_t vocabulary = model_.config.vocab_size;
    const std::size_t chunk = tokens_per_logit_chunk(vocabulary);
    FloatMatrix logits(std::min(chunk, tokens_), vocabulary);
    for (std::size_t begin = 0; begin < tokens_; begin += chunk) {
      const std::size_t end = std::min(tokens_, begin + chunk);
      const TensorView<const float, 2> hidden = at("wte").slice(0, begin, end);
      const TensorView<float, 2> part = logits.view().slice(0, 0, end - begin);
      weights.multiply(hidden, part, pool_);
      logit_gradient(begin, part);
      weights.multiply_transposed(part, dnormal.slice(0, begin, end), pool_);
      constexpr std::size_t rows = 256;
      pool_.run((vocabulary + rows - 1) / rows, [&](std::size_t task) {
        const std::size_t first = task * rows;
        const std::size_t last = std::min(vocabulary, first + rows);
        nash_swarm::add_product(part.slice(1, first, last).transposed(), hidden,
                                dembedding_.view().slice(0, first, last));
      });
    }
  }

  void mlp_block(const std::string& prefix, const Layer& layer) {
    FloatMatrix dinner(tokens_, model_.config.n_inner);
    FloatMatrix dnormal(tokens_, model_.config.n_embd);
    linear(prefix + "mlp.c_proj", *layer.mlp_c_proj, dhidden_.view(), dinner.view());
    gelu_gradient(at(prefix + "mlp.gelu"), dinner.view(), pool_);
    linear(prefix + "mlp.c_fc", *layer.c_fc, dinner.view(), dnormal.view());
    add_norm(prefix + "ln_2", layer.ln_2, dnormal.view());
  }

  void attention_block(const std::string& prefix, const Layer& layer) {
    const std::size_t width = model_.config.n_embd;
    FloatMatrix dnormal(tokens_, width);
    FloatMatrix dmixed(tokens_, 3 * width);
    linear(prefix + "attn.c_proj", *layer.attn_c_proj, dhidden_.view(), dnormal.view());
    const auto third = [&](auto view, std::size_t i) {
      return view.slice(1, i * width, (i + 1) * width);
    };
    const TensorView<const float, 2> mixed = at(prefix + "attn");
    causal_attention_gradient(third(mixed, 0), third(mixed, 1), third(mixed, 2),
                              model_.config.n_head, dnormal.view(), third(dmixed.view(), 0),
                              third(dmixed.view(), 1), third(dmixed.view(), 2), pool_);
    linear(prefix + "attn.c_attn", *layer.c_attn, dmixed.view(), dnormal.view());
    add_norm(prefix + "ln_1", layer.ln_1, dnormal.view());
  }

  /// Through a matrix: dx, given dy.
  void linear(const std::string& name, const Linear& matrix, TensorView<const float, 2> dy,
              TensorView<float, 2> dx) {
    observer_.matrix(name, at(name), dy);
    float_weights(name, matrix).multiply_transposed(dy, dx, pool_);
  }

  /// Adds what comes back through a layer norm to the gradient of the residual stream.
  void add_norm(const std::string& name, const LayerNorm& norm, TensorView<const float, 2> dy) {
    layer_norm_gradient(at(name), {norm.weight.data(), norm.weight.size()},
                        model_.config.layer_norm_epsilon, dy, dhidden_.view(), pool_);
  }

  const Model& model_;
  Tape tape_;
  ThreadPool& pool_;
  const GradientObserver& observer_;
  std::size_t tokens_;
  FloatMatrix dhidden_;     // of the residual stream
  FloatMatrix dembedding_;  // [vocabulary, n_embd]
};

}  // namespace

LogitGradient gradient_of_labels(std::span<const std::int32_t> labels) {
  return [labels](std::size_t begin, TensorView<float, 2> logits) {
    for (std::size_t i = 0; i < logits.extent(0); ++i) {
      const std::span<float> row = row_of(logits, i);
      const std::int32_t label = labels[begin + i];
      if (label < 0 || static_cast<std::size_t>(label) >= row.size()) {
        throw Error("labels", "token " + std::to_string(label) + " at " +
                                  std::to_string(begin + i) + " is not in the vocabulary of " +
                                  std::to_string(row.size()));
      }
      softmax(eigen_row(row));
      row[static_cast<std::size_t>(label)] -= 1.0f;
    }
  };
}

LogitGradient gradient_of_drawn_labels(std::mt19937_64& engine) {
  return [&engine](std::size_t, TensorView<float, 2> logits) {
    for (std::size_t i = 0; i < logits.extent(0); ++i) {
      const std::span<float> row = row_of(logits, i);
      softmax(eigen_row(row));
      row[draw(row, static_cast<double>(engine() >> 11) * 0x1p-53)] -= 1.0f;
    }
  };
}

void run_backward(const Model& model, std::span<const std::int32_t> tokens,
                  const LogitGradient& logit_gradient, ThreadPool& pool,
                  const GradientObserver& observer) {
  Tape tape;
  hidden_states(model, tokens, 1, pool,
                [&](const std::string& part, TensorView<const float, 2> input) {
                  FloatMatrix copy(input.extent(0), input.extent(1));
                  eigen_matrix(copy.view()) = eigen_matrix(input);
                  tape.emplace(part, std::move(copy));
                });
  BackwardPass(model, std::move(tape), pool, observer).run(tokens, logit_gradient);
}

}  // namespace gpt2
