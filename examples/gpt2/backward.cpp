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
  BackwardPass(const Model& model, Tape tape, std::size_t sequences, ThreadPool& pool,
               const GradientObserver& observer)
      : model_(model),
        tape_(std::move(tape)),
        sequences_(sequences),
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
      const std::string prefix = prefix_of(index);
      const bool last = index + 1 == model_.layers.size();
      mlp_block(prefix, model_.layers[index], last ? "ln_f" : prefix_of(index + 1) + "ln_1");
      attention_block(prefix, model_.layers[index]);
    }
    if (observer_.first_layer > 0) return;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      eigen_row(row_of(dembedding_.view(), static_cast<std::size_t>(tokens[t]))) +=
          eigen_row(row_of(std::as_const(dhidden_).view(), t));
    }
    if (observer_.token_embedding) observer_.token_embedding(at("wte"), dembedding_.view());
  }

 private:
  static std::string prefix_of(std::size_t layer) { return "h." + std::to_string(layer) + "."; }

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

  /// @param next the part that reads the residual stream after the block
  void mlp_block(const std::string& prefix, const Layer& layer, const std::string& next) {
    FloatMatrix dinner(tokens_, model_.config.n_inner);
    FloatMatrix dnormal(tokens_, model_.config.n_embd);
    update(prefix + "mlp.c_proj", prefix + "ln_2", next);
    linear(prefix + "mlp.c_proj", *layer.mlp_c_proj, dhidden_.view(), dinner.view());
    gelu_gradient(at(prefix + "mlp.gelu"), dinner.view(), pool_);
    output(prefix + "mlp.c_fc", at(prefix + "mlp.gelu"), dinner.view());
    linear(prefix + "mlp.c_fc", *layer.c_fc, dinner.view(), dnormal.view());
    add_norm(prefix + "ln_2", layer.ln_2, dnormal.view());
  }

  void attention_block(const std::string& prefix, const Layer& layer) {
    const std::size_t width = model_.config.n_embd;
    FloatMatrix dnormal(tokens_, width);
    FloatMatrix dmixed(tokens_, 3 * width);
    update(prefix + "attn.c_proj", prefix + "ln_1", prefix + "ln_2");
    linear(prefix + "attn.c_proj", *layer.attn_c_proj, dhidden_.view(), dnormal.view());
    const std::size_t length = tokens_ / sequences_;
    for (std::size_t begin = 0; begin < tokens_; begin += length) {
      const auto third = [&](auto view, std::size_t i) {
        return view.slice(0, begin, begin + length).slice(1, i * width, (i + 1) * width);
      };
      const TensorView<const float, 2> mixed = at(prefix + "attn");
      causal_attention_gradient(
          third(mixed, 0), third(mixed, 1), third(mixed, 2), model_.config.n_head,
          std::as_const(dnormal).view().slice(0, begin, begin + length), third(dmixed.view(), 0),
          third(dmixed.view(), 1), third(dmixed.view(), 2), pool_);
    }
    output(prefix + "attn.c_attn", at(prefix + "attn"), dmixed.view());
    linear(prefix + "attn.c_attn", *layer.c_attn, dmixed.view(), dnormal.view());
    add_norm(prefix + "ln_1", layer.ln_1, dnormal.view());
  }

  /// Through a matrix: dx, given dy.
  void linear(const std::string& name, const Linear& matrix, TensorView<const float, 2> dy,
              TensorView<float, 2> dx) {
    if (observer_.matrix) observer_.matrix(name, at(name), dy);
    float_weights(name, matrix).multiply_transposed(dy, dx, pool_);
  }

  void output(const std::string& name, TensorView<const float, 2> y,
              TensorView<const float, 2> dy) {
    if (observer_.output) observer_.output(name, y, dy);
  }

  /// The output of a matrix that adds to the residual stream: what the stream has gained between
  /// the inputs of two parts.
  void update(const std::string& name, const std::string& before, const std::string& after) {
    if (!observer_.output) return;
    FloatMatrix y(tokens_, model_.config.n_embd);
    eigen_matrix(y.view()) = eigen_matrix(at(after)) - eigen_matrix(at(before));
    observer_.output(name, y.view(), dhidden_.view());
  }

  /// Adds what comes back through a layer norm to the gradient of the residual stream.
  void add_norm(const std::string& name, const LayerNorm& norm, TensorView<const float, 2> dy) {
    if (observer_.norm) {
      std::vector<float> dweight(model_.config.n_embd);
      std::vector<float> dbias(model_.config.n_embd);
      layer_norm_parameter_gradient(at(name), model_.config.layer_norm_epsilon, dy, dweight, dbias);
      observer_.norm(name, dweight, dbias);
    }
    layer_norm_gradient(at(name), {norm.weight.data(), norm.weight.size()},
                        model_.config.layer_norm_epsilon, dy, dhidden_.view(), pool_);
  }

  const Model& model_;
  Tape tape_;
  std::size_t sequences_;
  ThreadPool& pool_;
  const GradientObserver& observer_;
  std::size_t tokens_;
  FloatMatrix dhidden_;     // of the residual stream
  FloatMatrix dembedding_;  // [vocabulary, n_embd]
};

}  // namespace

LogitGradient gradient_of_labels(std::span<const std::int32_t> labels) {
  return [labels](std::size_t begin, TensorView<float, 2> logits) {
    if (labels.size() < begin + logits.extent(0)) {
      throw Error("labels",
                  std::to_string(labels.size()) + " labels for " +
                      std::to_string(begin + logits.extent(0)) + " or more tokens",
                  "give one for every token");
    }
    for (std::size_t i = 0; i < logits.extent(0); ++i) {
      const std::span<float> row = row_of(logits, i);
      const std::int32_t label = labels[begin + i];
      if (label < 0 || static_cast<std::size_t>(label) >= row.size()) {
        throw Error("labels",
                    "token " + std::to_string(label) + " at " + std::to_string(begin + i) +
                        " is not in the vocabulary of " + std::to_string(row.size()),
                    "use the vocabulary of the model");
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

LogitGradient gradient_of_divergence(const TokenEmbedding& teacher,
                                     TensorView<const float, 2> hidden, ThreadPool& pool) {
  return [&teacher, hidden, &pool](std::size_t begin, TensorView<float, 2> logits) {
    FloatMatrix expected(logits.extent(0), logits.extent(1));
    teacher.logits(hidden.slice(0, begin, begin + logits.extent(0)), expected.view(), pool);
    pool.run(logits.extent(0), [&](std::size_t i) {
      RowMap row = eigen_row(row_of(logits, i));
      RowMap expected_row = eigen_row(row_of(expected.view(), i));
      softmax(row);
      softmax(expected_row);
      row -= expected_row;
    });
  };
}

void run_backward(const Model& model, std::span<const std::int32_t> tokens,
                  const LogitGradient& logit_gradient, ThreadPool& pool,
                  const GradientObserver& observer, std::size_t sequences) {
  Tape tape;
  hidden_states(model, tokens, sequences, pool,
                [&](const std::string& part, TensorView<const float, 2> input) {
                  FloatMatrix copy(input.extent(0), input.extent(1));
                  eigen_matrix(copy.view()) = eigen_matrix(input);
                  tape.emplace(part, std::move(copy));
                });
  BackwardPass(model, std::move(tape), sequences, pool, observer).run(tokens, logit_gradient);
}

}  // namespace gpt2
