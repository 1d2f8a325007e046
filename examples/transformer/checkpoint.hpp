#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <set>
#include <string>
#include <vector>

#include "transformer/checkpoint_files.hpp"
#include "transformer/config.hpp"
#include "transformer/model.hpp"
#include "transformer/model_shapes.hpp"
#include "transformer/tokenizer_files.hpp"
#include "transformer/weight_source.hpp"

namespace transformer {

/// @throws nash_swarm::Error naming tensor, place and file of a NaN or infinity among floats
/// @param remedy for the message
void check_tensor_finite(const nash_swarm::StoredTensor& tensor, const char* remedy,
                         nash_swarm::ThreadPool& pool);

/// A folder as Hugging Face publishes it: config.json, model.safetensors (or its shards with
/// model.safetensors.index.json), and the files of its tokenizer (tokenizer_files.hpp). Tensor
/// names may have the prefix of their family, such as "transformer."; what some exports store
/// beside the weights, a copy of the tied head among it, is ignored.
class Checkpoint {
 public:
  /// Maps the weights and checks every name, type and shape against the config.
  /// @throws nash_swarm::Error naming file, and key or tensor, of whatever does not fit
  explicit Checkpoint(const std::filesystem::path& folder);

  const Config& config() const noexcept { return config_; }
  const std::filesystem::path& folder() const noexcept { return folder_; }

  /// The text files as a packed model has them.
  const std::string& config_text() const noexcept { return config_text_; }
  const TokenizerFiles& tokenizer_files() const noexcept { return tokenizer_files_; }

  /// What the text files make of a text.
  /// @throws nash_swarm::Error as `transformer::make_tokenizer`
  Tokenizer make_tokenizer() const;

  /// What `matrix_shapes` says of the config.
  const std::vector<MatrixShape>& shapes() const noexcept { return shapes_; }
  /// @throws nash_swarm::Error if there is no matrix of that name
  const MatrixShape& shape(const std::string& name) const;

  /// The weight matrices, in the order of `shapes`.
  const std::vector<std::shared_ptr<const WeightSource>>& matrices() const noexcept {
    return matrices_;
  }
  /// @throws nash_swarm::Error if there is no matrix of that name, such as "h.0.attn.c_attn"
  const std::shared_ptr<const WeightSource>& matrix(const std::string& name) const;

  /// All elements of one of `other_tensor_shapes`, such as "h.0.ln_1.weight".
  /// @throws nash_swarm::Error if there is none of that name
  nash_swarm::AlignedBuffer<float> floats(const std::string& tensor) const;

  /// Element type of a stored tensor, such as "wte.weight" or "h.0.ln_1.weight".
  /// @throws nash_swarm::Error if there is none of that name
  nash_swarm::DataType data_type(const std::string& tensor) const;

  /// Number of weights; the tied head counts once, ignored tensors not at all.
  std::size_t parameter_count() const noexcept { return parameter_count_; }
  /// Bytes of all weights in float32.
  std::size_t float32_bytes() const noexcept { return 4 * parameter_count_; }

  /// Reads all weights once.
  /// @throws nash_swarm::Error naming the first NaN or infinity by tensor and index in stored order
  void check_finite(nash_swarm::ThreadPool& pool) const;

  /// Of the config and of all weights as they are stored, which are read once.
  std::uint64_t fingerprint() const;

 private:
  void find_tensors();
  void ignore_tied_head();
  void refuse_unknown(const std::set<std::string>& known) const;
  std::size_t index_of(const std::string& matrix) const;
  const CheckpointTensor& stored(const std::string& tensor) const;
  const CheckpointTensor& require(const std::string& name, const std::vector<std::size_t>& shape);

  std::filesystem::path folder_;
  std::string config_text_;
  TokenizerFiles tokenizer_files_;
  Config config_;
  std::map<std::string, CheckpointTensor> tensors_;  // by name without prefix
  std::vector<MatrixShape> shapes_;
  std::vector<std::shared_ptr<const WeightSource>> matrices_;  // by shapes_
  std::size_t parameter_count_ = 0;
};

/// Puts something else in the place of a matrix, for instance its quantized values.
using WeightTransform = std::function<std::shared_ptr<const WeightSource>(
    const std::shared_ptr<const WeightSource>& original)>;

/// The model in float32.
/// @param resident true to keep one float32 copy of every matrix (for generation), false to convert
/// them from the file whenever they are used (for batches of many tokens)
/// @param transform replaces the matrices; none if empty
Model make_float_model(const Checkpoint& checkpoint, bool resident,
                       const WeightTransform& transform = {});

/// The token embedding and head of the float model alone.
std::unique_ptr<TokenEmbedding> make_float_embedding(const Checkpoint& checkpoint, bool resident);

}  // namespace transformer
