#include <algorithm>
#include <utility>

#include <nash_swarm/core/error.hpp>

#include "transformer/activation.hpp"
#include "transformer/family.hpp"
#include "transformer/model.hpp"

namespace transformer {
namespace {

using nash_swarm::AlignedBuffer;
using nash_swarm::Error;

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

LayerMatrix assemble_matrix(const PartSource& source, const MatrixPart& part) {
  LayerMatrix matrix{part.name, checked_linear(source, part.name, part.out, part.in), {}};
  if (part.bias) matrix.bias = checked_floats(source, part.name + ".bias", part.out);
  return matrix;
}

std::vector<LayerMatrix> assemble_matrices(const PartSource& source,
                                           const std::vector<MatrixPart>& parts) {
  std::vector<LayerMatrix> matrices;
  for (const MatrixPart& part : parts) matrices.push_back(assemble_matrix(source, part));
  return matrices;
}

Norm assemble_norm(const Config& config, const PartSource& source, const std::string& name) {
  Norm norm{name, checked_floats(source, name + ".weight", config.n_embd), {}};
  if (config.norm == NormKind::layer) {
    norm.bias = checked_floats(source, name + ".bias", config.n_embd);
  }
  return norm;
}

Layer assemble_layer(const Config& config, const PartSource& source, const LayerParts& parts) {
  return {assemble_norm(config, source, parts.attention_norm),
          assemble_matrices(source, parts.attention_input),
          assemble_matrix(source, parts.attention_output),
          assemble_norm(config, source, parts.mlp_norm),
          assemble_matrices(source, parts.mlp_input),
          assemble_matrix(source, parts.mlp_output)};
}

FloatMatrix assemble_positions(const Config& config, const PartSource& source,
                               const std::string& name) {
  if (name.empty()) return {};
  FloatMatrix positions(config.position_offset + config.n_ctx, config.n_embd);
  const AlignedBuffer<float> floats =
      checked_floats(source, name + ".weight", positions.view().size());
  std::copy(floats.begin(), floats.end(), positions.view().data());
  return positions;
}

}  // namespace

std::unique_ptr<TokenEmbedding> assemble_embedding(const Config& config, const PartSource& source) {
  const EndParts ends = config.family->ends(config);
  std::unique_ptr<TokenEmbedding> table = source.embedding(ends.token_embedding);
  check_matrix(ends.token_embedding, config.vocab_size, config.n_embd, table->vocabulary_size(),
               table->width());
  if (config.tied_head) return table;
  return std::make_unique<UntiedEmbedding>(
      std::move(table), checked_linear(source, ends.head, config.vocab_size, config.n_embd));
}

Model assemble_model(const Config& config, const PartSource& source) {
  const EndParts ends = config.family->ends(config);
  Model model;
  model.config = config;
  model.token_embedding = assemble_embedding(config, source);
  model.position_embedding = assemble_positions(config, source, ends.position_embedding);
  for (std::size_t layer = 0; layer < config.n_layer; ++layer) {
    model.layers.push_back(assemble_layer(config, source, config.family->layer(config, layer)));
  }
  model.final_norm = assemble_norm(config, source, ends.final_norm);
  return model;
}

void for_each_vector(Model& model,
                     const std::function<void(const std::string&, std::span<float>)>& visit) {
  const auto vector = [&](const std::string& name, AlignedBuffer<float>& values) {
    if (values.size() != 0) visit(name, {values.data(), values.size()});
  };
  const auto norm = [&](Norm& part) {
    vector(part.name + ".weight", part.weight);
    vector(part.name + ".bias", part.bias);
  };
  const auto bias = [&](LayerMatrix& part) { vector(part.name + ".bias", part.bias); };
  for (Layer& layer : model.layers) {
    norm(layer.attention_norm);
    for (LayerMatrix& part : layer.attention_input) bias(part);
    bias(layer.attention_output);
    norm(layer.mlp_norm);
    for (LayerMatrix& part : layer.mlp_input) bias(part);
    bias(layer.mlp_output);
  }
  norm(model.final_norm);
}

NormParameters parameters_of(const Config& config, const Norm& norm) {
  return {config.norm,
          config.norm_epsilon,
          {norm.weight.data(), norm.weight.size()},
          {norm.bias.data(), norm.bias.size()}};
}

std::size_t attention_columns(const Config& config) {
  return config.n_embd + 2 * config.key_width();
}

std::size_t activation_columns(const Config& config) {
  return inputs_of(config.activation) * config.n_inner;
}

std::string attention_part(std::size_t layer) {
  return "attention " + std::to_string(layer);
}

std::string activation_part(std::size_t layer) {
  return "activation " + std::to_string(layer);
}

}  // namespace transformer
