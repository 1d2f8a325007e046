#include "transformer/backward.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/float_product.hpp>

#include "transformer/activation.hpp"
#include "transformer/attention.hpp"
#include "transformer/eigen_view.hpp"
#include "transformer/family.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/loss.hpp"
#include "transformer/model_shapes.hpp"
#include "transformer/norm.hpp"
#include "transformer/rotary.hpp"
#include "transformer/row_tasks.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// The inputs of all parts of a forward pass.
using Tape = std::map<std::string, FloatMatrix>;

const FloatWeights& float_weights(const std::string& name, const Linear& linear) {
  if (const auto* matrix = dynamic_cast<const FloatLinear*>(&linear)) return matrix->weights();
  throw Error(name, "gradients of a packed matrix", "use the float model");
}

const FloatWeights& head_weights(const std::string& name, const TokenEmbedding& embedding) {
  if (const auto* untied = dynamic_cast<const UntiedEmbedding*>(&embedding)) {
    return float_weights(name, untied->head());
  }
  if (const auto* tied = dynamic_cast<const FloatEmbedding*>(&embedding)) return tied->weights();
  throw Error(name, "gradients of a packed matrix", "use the float model");
}

FloatMatrix copy_of(TensorView<const float, 2> matrix, ThreadPool& pool) {
  FloatMatrix copy = FloatMatrix::for_overwrite(matrix.extent(0), matrix.extent(1));
  for_each_row(matrix.extent(0), pool, [&](std::size_t row) {
    eigen_row(row_of(copy.view(), row)) = eigen_row(row_of(matrix, row));
  });
  return copy;
}

class BackwardPass {
 public:
  BackwardPass(const Model& model, Tape tape, std::size_t sequences, ThreadPool& pool,
               const GradientObserver& observer)
      : model_(model),
        config_(model.config),
        head_(head_name(config_)),
        tape_(std::move(tape)),
        sequences_(sequences),
        pool_(pool),
        observer_(observer),
        tokens_(at(head_).extent(0)),
        dhidden_(tokens_, config_.n_embd),
        dhead_(FloatMatrix::for_overwrite(config_.vocab_size, config_.n_embd)) {
    if (config_.rotary_base != 0.0f) {
      rotary_.emplace(config_.rotary_base, config_.head_size(), 0, tokens_ / sequences);
    }
  }

  void run(std::span<const std::int32_t> tokens, const LogitGradient& logit_gradient) {
    FloatMatrix dnormal(tokens_, config_.n_embd);
    head(logit_gradient, dnormal.view());
    if (!config_.tied_head) report(head_, at(head_), dhead_.view());
    add_norm(model_.final_norm, dnormal.view());
    for (std::size_t index = model_.layers.size(); index-- > observer_.first_layer;) {
      const bool last = index + 1 == model_.layers.size();
      mlp_block(index, last ? model_.final_norm : model_.layers[index + 1].attention_norm);
      attention_block(index);
    }
    if (observer_.first_layer > 0) return;
    if (config_.tied_head) {
      add_lookups(tokens, dhead_.view());
      report(head_, at(head_), dhead_.view());
    } else if (observer_.vocabulary_matrix) {
      FloatMatrix dembedding(config_.vocab_size, config_.n_embd);
      add_lookups(tokens, dembedding.view());
      report(config_.family->ends(config_).token_embedding, std::as_const(dhidden_).view(),
             dembedding.view());
    }
  }

 private:
  TensorView<const float, 2> at(const std::string& part) const { return tape_.at(part).view(); }

  void report(const std::string& name, TensorView<const float, 2> x,
              TensorView<const float, 2> gradient) {
    if (observer_.vocabulary_matrix) observer_.vocabulary_matrix(name, x, gradient);
  }

  void add_lookups(std::span<const std::int32_t> tokens, TensorView<float, 2> gradient) {
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      eigen_row(row_of(gradient, static_cast<std::size_t>(tokens[t]))) +=
          eigen_row(row_of(std::as_const(dhidden_).view(), t));
    }
  }

  /// Gradients by the final hidden states, and by the head.
  void head(const LogitGradient& logit_gradient, TensorView<float, 2> dnormal) {
    const FloatWeights& weights = head_weights(head_, *model_.token_embedding);
    const std::size_t vocabulary = config_.vocab_size;
    const std::size_t chunk = tokens_per_logit_chunk(vocabulary);
    FloatMatrix logits = FloatMatrix::for_overwrite(std::min(chunk, tokens_), vocabulary);
    for (std::size_t begin = 0; begin < tokens_; begin += chunk) {
      const std::size_t end = std::min(tokens_, begin + chunk);
      const TensorView<const float, 2> hidden = at(head_).slice(0, begin, end);
      const TensorView<float, 2> part = logits.view().slice(0, 0, end - begin);
      weights.multiply(hidden, part, pool_);
      logit_gradient(begin, part);
      weights.add_multiplied_transposed(part, dnormal.slice(0, begin, end), pool_);
      constexpr std::size_t rows = 256;
      pool_.run((vocabulary + rows - 1) / rows, [&](std::size_t task) {
        const std::size_t first = task * rows;
        const std::size_t last = std::min(vocabulary, first + rows);
        const TensorView<float, 2> target = dhead_.view().slice(0, first, last);
        if (begin == 0) eigen_matrix(target).setZero();
        nash_swarm::add_product(part.slice(1, first, last).transposed(), hidden, target);
      });
    }
  }

  /// @param next the norm that reads the residual stream after the block
  void mlp_block(std::size_t index, const Norm& next) {
    const Layer& layer = model_.layers[index];
    FloatMatrix dinner(tokens_, activation_columns(config_));
    from_stream(layer.mlp_output, layer.mlp_norm, next, dinner.view().slice(1, 0, config_.n_inner));
    activation_gradient(config_.activation, at(activation_part(index)), dinner.view(), pool_);
    to_norm(layer.mlp_input, at(activation_part(index)), dinner.view(), layer.mlp_norm);
  }

  void attention_block(std::size_t index) {
    const Layer& layer = model_.layers[index];
    const std::size_t width = config_.n_embd;
    const std::size_t past_keys = width + config_.key_width();
    FloatMatrix dattended(tokens_, width);
    from_stream(layer.attention_output, layer.attention_norm, layer.mlp_norm, dattended.view());
    FloatMatrix turned;
    TensorView<const float, 2> mixed = at(attention_part(index));
    if (rotary_) {
      turned = copy_of(mixed, pool_);
      rotary_->rotate(turned.view().slice(1, 0, past_keys), pool_);
      mixed = turned.view();
    }
    FloatMatrix dmixed(tokens_, mixed.extent(1));
    const std::size_t length = tokens_ / sequences_;
    for (std::size_t begin = 0; begin < tokens_; begin += length) {
      const auto columns = [&](auto view, std::size_t first, std::size_t past) {
        return view.slice(0, begin, begin + length).slice(1, first, past);
      };
      causal_attention_gradient(columns(mixed, 0, width), columns(mixed, width, past_keys),
                                columns(mixed, past_keys, mixed.extent(1)), config_.n_head,
                                columns(std::as_const(dattended).view(), 0, width),
                                columns(dmixed.view(), 0, width),
                                columns(dmixed.view(), width, past_keys),
                                columns(dmixed.view(), past_keys, mixed.extent(1)), pool_);
    }
    if (rotary_) rotary_->rotate_back(dmixed.view().slice(1, 0, past_keys), pool_);
    to_norm(layer.attention_input, at(attention_part(index)), dmixed.view(), layer.attention_norm);
  }

  /// Through a matrix that adds to the residual stream: the gradient by its input.
  /// @param before, after norms that read the stream before and after the matrix has added to it
  void from_stream(const LayerMatrix& matrix, const Norm& before, const Norm& after,
                   TensorView<float, 2> dx) {
    if (observer_.output) {
      FloatMatrix y = FloatMatrix::for_overwrite(tokens_, config_.n_embd);
      for_each_row(tokens_, pool_, [&](std::size_t t) {
        eigen_row(row_of(y.view(), t)) =
            eigen_row(row_of(at(after.name), t)) - eigen_row(row_of(at(before.name), t));
      });
      observer_.output(matrix.name, y.view(), dhidden_.view());
    }
    back_through(matrix, at(matrix.name), std::as_const(dhidden_).view(), dx);
  }

  /// Through matrices that read what a norm gives, and through the norm.
  /// @param y their outputs side by side
  void to_norm(const std::vector<LayerMatrix>& matrices, TensorView<const float, 2> y,
               TensorView<const float, 2> dy, const Norm& norm) {
    FloatMatrix dnormal(tokens_, config_.n_embd);
    std::size_t column = 0;
    for (const LayerMatrix& matrix : matrices) {
      const std::size_t begin = column;
      column += matrix.linear->out_features();
      const TensorView<const float, 2> part = dy.slice(1, begin, column);
      if (observer_.output) observer_.output(matrix.name, y.slice(1, begin, column), part);
      back_through(matrix, at(matrices.front().name), part, dnormal.view());
    }
    add_norm(norm, dnormal.view());
  }

  /// dx += what comes back through a matrix, given dy.
  void back_through(const LayerMatrix& matrix, TensorView<const float, 2> x,
                    TensorView<const float, 2> dy, TensorView<float, 2> dx) {
    if (observer_.matrix) observer_.matrix(matrix.name, x, dy);
    float_weights(matrix.name, *matrix.linear).add_multiplied_transposed(dy, dx, pool_);
  }

  /// Adds what comes back through a norm to the gradient of the residual stream.
  void add_norm(const Norm& norm, TensorView<const float, 2> dy) {
    const NormParameters parameters = parameters_of(config_, norm);
    if (observer_.norm) {
      std::vector<float> dweight(norm.weight.size());
      std::vector<float> dbias(norm.bias.size());
      norm_parameter_gradient(parameters, at(norm.name), dy, dweight, dbias);
      observer_.norm(norm.name, dweight, dbias);
    }
    add_norm_gradient(parameters, at(norm.name), dy, dhidden_.view(), pool_);
  }

  const Model& model_;
  const Config& config_;
  std::string head_;
  Tape tape_;
  std::size_t sequences_;
  ThreadPool& pool_;
  const GradientObserver& observer_;
  std::size_t tokens_;
  FloatMatrix dhidden_;  // of the residual stream
  FloatMatrix dhead_;    // [vocabulary, n_embd], with the lookups if it is tied
  std::optional<RotaryTable> rotary_;
};

}  // namespace

void run_backward(const Model& model, std::span<const std::int32_t> tokens,
                  const LogitGradient& logit_gradient, ThreadPool& pool,
                  const GradientObserver& observer, std::size_t sequences) {
  Tape tape;
  hidden_states(model, tokens, sequences, pool,
                [&](const std::string& part, TensorView<const float, 2> input) {
                  tape.emplace(part, copy_of(input, pool));
                });
  BackwardPass(model, std::move(tape), sequences, pool, observer).run(tokens, logit_gradient);
}

}  // namespace transformer
