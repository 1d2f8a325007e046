#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "transformer/config.hpp"
#include "transformer/config_keys.hpp"

namespace transformer {

/// Far above any model, and small enough that no product of two sizes overflows.
inline constexpr std::size_t most_layers = 4096;
inline constexpr std::size_t most_features = std::size_t{1} << 24;
inline constexpr std::size_t largest_vocabulary = std::size_t{1} << 28;

/// A matrix of a layer [out, in], stored as "NAME.weight", and with a bias also "NAME.bias".
struct MatrixPart {
  std::string name;
  std::size_t out = 0;
  std::size_t in = 0;
  bool bias = false;
};

/// The parts of a layer in the order of computation. Matrices that read the same input lie side by
/// side in its output: queries, keys and values, one or three matrices; one matrix into the MLP, or
/// gate and up.
struct LayerParts {
  std::string attention_norm;
  std::vector<MatrixPart> attention_input;
  MatrixPart attention_output;
  std::string mlp_norm;
  std::vector<MatrixPart> mlp_input;
  MatrixPart mlp_output;
};

/// The parts of a model before and after its layers.
struct EndParts {
  std::string token_embedding;
  std::string position_embedding;  ///< empty for none
  std::string final_norm;
  std::string head;  ///< used where the head is not tied
};

/// Keys of config.json that say how heads are cut.
struct HeadKeys {
  const char* width;
  const char* heads;
  const char* key_value_heads;
};

/// What distinguishes a family of decoders: keys of its config.json and names of its tensors. All
/// else is computed alike (model.hpp).
struct Family {
  std::string_view model_type;
  /// Start of the tensors' names that some exports leave out, and that is left out in this program.
  std::string_view published_prefix;
  bool stores_input_first;  ///< layer matrices are stored [in, out]
  HeadKeys head_keys;
  /// @throws nash_swarm::Error naming the key of what is missing, wrong or not computed
  Config (*parse)(const ConfigKeys& keys);
  LayerParts (*layer)(const Config& config, std::size_t index);
  EndParts (*ends)(const Config& config);
  /// True for what exports store beside the weights and nobody needs, by name without the prefix.
  bool (*is_no_weight)(std::string_view name);
};

extern const Family llama_family;
extern const Family opt_family;

/// All that can be loaded.
inline constexpr const Family* families[] = {&gpt2_family, &llama_family, &opt_family};

/// SUFFIX of a name such as "PREFIX12SUFFIX"; empty if the name is none.
std::string_view after_layer_number(std::string_view name, std::string_view prefix);

}  // namespace transformer
