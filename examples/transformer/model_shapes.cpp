#include "transformer/model_shapes.hpp"

#include "transformer/family.hpp"

namespace transformer {
namespace {

void add_norm(const Config& config, const std::string& name, std::vector<TensorShape>& shapes) {
  shapes.push_back({name + ".weight", {config.n_embd}});
  if (config.norm == NormKind::layer) shapes.push_back({name + ".bias", {config.n_embd}});
}

void add_bias(const MatrixPart& matrix, std::vector<TensorShape>& shapes) {
  if (matrix.bias) shapes.push_back({matrix.name + ".bias", {matrix.out}});
}

}  // namespace

std::vector<MatrixShape> matrix_shapes(const Config& config) {
  std::vector<MatrixShape> shapes;
  for (std::size_t index = 0; index < config.n_layer; ++index) {
    const LayerParts parts = config.family->layer(config, index);
    const auto add = [&](const MatrixPart& part, std::size_t input, std::size_t rows_per_head) {
      shapes.push_back(
          {part.name, part.out, part.in, MatrixRole::layer, index, input, rows_per_head});
    };
    const auto add_all = [&](const std::vector<MatrixPart>& group, std::size_t rows_per_head) {
      const std::size_t input = shapes.size();
      for (const MatrixPart& part : group) add(part, input, rows_per_head);
    };
    add_all(parts.attention_input, config.head_size());
    add(parts.attention_output, shapes.size(), 0);
    add_all(parts.mlp_input, 0);
    add(parts.mlp_output, shapes.size(), 0);
  }
  const EndParts ends = config.family->ends(config);
  const auto add_end = [&](const std::string& name, MatrixRole role) {
    const std::size_t layer = role == MatrixRole::head ? config.n_layer : 0;
    shapes.push_back({name, config.vocab_size, config.n_embd, role, layer, shapes.size(), 0});
  };
  add_end(ends.token_embedding,
          config.tied_head ? MatrixRole::tied_embedding : MatrixRole::embedding);
  if (!config.tied_head) add_end(ends.head, MatrixRole::head);
  return shapes;
}

bool is_stored_input_first(const Config& config, const MatrixShape& matrix) {
  return config.family->stores_input_first && matrix.role == MatrixRole::layer;
}

std::vector<std::size_t> stored_shape(const Config& config, const MatrixShape& matrix) {
  if (is_stored_input_first(config, matrix)) return {matrix.in, matrix.out};
  return {matrix.out, matrix.in};
}

std::vector<TensorShape> other_tensor_shapes(const Config& config) {
  std::vector<TensorShape> shapes;
  const EndParts ends = config.family->ends(config);
  if (!ends.position_embedding.empty()) {
    shapes.push_back({ends.position_embedding + ".weight",
                      {config.n_ctx + config.position_offset, config.n_embd}});
  }
  for (std::size_t index = 0; index < config.n_layer; ++index) {
    const LayerParts parts = config.family->layer(config, index);
    add_norm(config, parts.attention_norm, shapes);
    for (const MatrixPart& part : parts.attention_input) add_bias(part, shapes);
    add_bias(parts.attention_output, shapes);
    add_norm(config, parts.mlp_norm, shapes);
    for (const MatrixPart& part : parts.mlp_input) add_bias(part, shapes);
    add_bias(parts.mlp_output, shapes);
  }
  add_norm(config, ends.final_norm, shapes);
  return shapes;
}

std::string head_name(const Config& config) {
  const EndParts ends = config.family->ends(config);
  return config.tied_head ? ends.token_embedding : ends.head;
}

}  // namespace transformer
