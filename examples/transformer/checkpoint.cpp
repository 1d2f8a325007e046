#include "transformer/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/fingerprint.hpp>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "transformer/family.hpp"
#include "transformer/linear.hpp"
#include "transformer/text_file.hpp"

namespace transformer {
namespace {

using nash_swarm::AlignedBuffer;
using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::StoredTensor;
using nash_swarm::ThreadPool;

constexpr const char* export_again = "export the checkpoint again";

std::string_view without_prefix(const Config& config, std::string_view name) {
  const std::string_view prefix = config.family->published_prefix;
  return name.starts_with(prefix) ? name.substr(prefix.size()) : name;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text;
  for (const std::size_t extent : shape)
    text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

std::string stored_name(const MatrixShape& matrix) {
  return matrix.name + ".weight";
}

/// "[12, 7]" for the element at `index` in row-major order.
std::string place_of(std::size_t index, const std::vector<std::size_t>& shape) {
  std::vector<std::size_t> place(shape.size());
  for (std::size_t d = shape.size(); d-- > 0;) {
    place[d] = index % shape[d];
    index /= shape[d];
  }
  return shape_text(place);
}

/// Index of the first NaN or infinity among elements [begin, end).
std::optional<std::size_t> find_not_finite(const StoredTensor& tensor, std::size_t begin,
                                           std::size_t end) {
  constexpr std::uint32_t exponent = 0x7f800000u;
  std::array<float, 2048> buffer;
  for (std::size_t first = begin; first < end; first += buffer.size()) {
    const std::span<float> values = std::span(buffer).first(std::min(buffer.size(), end - first));
    nash_swarm::read_floats(tensor, first, values);
    std::uint32_t largest = 0;
    for (const float value : values) {
      largest = std::max(largest, std::bit_cast<std::uint32_t>(value) & exponent);
    }
    if (largest != exponent) continue;
    const auto found = std::find_if_not(values.begin(), values.end(),
                                        [](float value) { return std::isfinite(value); });
    return first + static_cast<std::size_t>(found - values.begin());
  }
  return std::nullopt;
}

}  // namespace

void check_tensor_finite(const StoredTensor& tensor, const char* remedy, ThreadPool& pool) {
  constexpr std::size_t slice = std::size_t{1} << 18;
  const std::size_t count = tensor.bytes.size() / nash_swarm::size_of(tensor.type);
  std::atomic<std::size_t> first_bad{count};
  pool.run((count + slice - 1) / slice, [&](std::size_t task) {
    const auto bad = find_not_finite(tensor, task * slice, std::min(count, (task + 1) * slice));
    std::size_t seen = first_bad.load();
    while (bad && *bad < seen && !first_bad.compare_exchange_weak(seen, *bad)) {
    }
  });
  if (first_bad == count) return;
  float value = 0.0f;
  nash_swarm::read_floats(tensor, first_bad, {&value, 1});
  throw Error(tensor.name,
              std::string(std::isnan(value) ? "NaN" : "infinity") + " at " +
                  place_of(first_bad, tensor.shape) + " of " + tensor.file,
              remedy);
}

Checkpoint::Checkpoint(const std::filesystem::path& folder)
    : folder_(folder),
      config_text_(read_text_file(folder / "config.json")),
      tokenizer_files_(transformer::tokenizer_files(folder)),
      config_(parse_config(config_text_, (folder / "config.json").string())),
      shapes_(matrix_shapes(config_)) {
  for (CheckpointTensor& tensor : checkpoint_tensors(folder)) {
    const StoredTensor& stored = *tensor.stored;
    const std::string name(without_prefix(config_, stored.name));
    if (config_.family->is_no_weight(name)) continue;
    if (!tensors_.emplace(name, std::move(tensor)).second) {
      throw Error(stored.name,
                  "is stored with and without \"" + std::string(config_.family->published_prefix) +
                      "\" in " + stored.file,
                  export_again);
    }
  }
  find_tensors();
}

void Checkpoint::find_tensors() {
  std::set<std::string> known;
  for (const MatrixShape& matrix : shapes_) {
    const CheckpointTensor& tensor = require(stored_name(matrix), stored_shape(config_, matrix));
    matrices_.push_back(std::make_shared<TensorWeightSource>(
        matrix.name, tensor.file, *tensor.stored, is_stored_input_first(config_, matrix)));
    known.insert(stored_name(matrix));
  }
  for (const TensorShape& tensor : other_tensor_shapes(config_)) {
    require(tensor.name, tensor.shape);
    known.insert(tensor.name);
  }
  ignore_tied_head();
  refuse_unknown(known);
}

/// The tied head may be stored a second time under its own name.
void Checkpoint::ignore_tied_head() {
  if (!config_.tied_head) return;
  const EndParts ends = config_.family->ends(config_);
  const auto head = tensors_.find(ends.head + ".weight");
  const StoredTensor& embedding = *tensors_.at(ends.token_embedding + ".weight").stored;
  if (head != tensors_.end() && head->second.stored->shape == embedding.shape) tensors_.erase(head);
}

void Checkpoint::refuse_unknown(const std::set<std::string>& known) const {
  constexpr std::size_t most_names = 8;
  std::string names;
  std::size_t unknown = 0;
  for (const auto& [name, tensor] : tensors_) {
    if (known.contains(name) || unknown++ >= most_names) continue;
    names += (names.empty() ? "" : ", ") + tensor.stored->name;
  }
  if (unknown == 0) return;
  if (unknown > most_names) names += " and " + std::to_string(unknown - most_names) + " more";
  throw Error(names,
              (unknown == 1 ? "is no tensor of a " : "are no tensors of a ") +
                  std::string(config_.family->model_type) + " model with " +
                  std::to_string(config_.n_layer) + " layers and " +
                  (config_.tied_head ? "a tied head" : "a head of its own") + ", in " +
                  folder_.string(),
              "check that config.json belongs to the weights");
}

const CheckpointTensor& Checkpoint::require(const std::string& name,
                                            const std::vector<std::size_t>& shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(name, "is missing in " + folder_.string(), export_again);
  }
  const StoredTensor& tensor = *found->second.stored;
  if (tensor.shape != shape) {
    throw Error(tensor.name,
                "has shape " + shape_text(tensor.shape) + " in " + tensor.file +
                    ", the config asks for " + shape_text(shape),
                "check that config.json belongs to the weights");
  }
  if (tensor.type != DataType::F32 && tensor.type != DataType::F16 &&
      tensor.type != DataType::BF16) {
    throw Error(
        tensor.name,
        "is stored as " + std::string(nash_swarm::name_of(tensor.type)) + " in " + tensor.file,
        "convert it to F32, F16 or BF16");
  }
  std::size_t count = 1;
  for (const std::size_t extent : shape) count *= extent;
  parameter_count_ += count;
  return found->second;
}

Tokenizer Checkpoint::make_tokenizer() const {
  return transformer::make_tokenizer(tokenizer_files_, config_.vocab_size);
}

std::size_t Checkpoint::index_of(const std::string& matrix) const {
  const auto found = std::find_if(shapes_.begin(), shapes_.end(),
                                  [&](const MatrixShape& shape) { return shape.name == matrix; });
  if (found == shapes_.end()) throw Error(matrix, "is no matrix of the model");
  return static_cast<std::size_t>(found - shapes_.begin());
}

const MatrixShape& Checkpoint::shape(const std::string& name) const {
  return shapes_[index_of(name)];
}

const std::shared_ptr<const WeightSource>& Checkpoint::matrix(const std::string& name) const {
  return matrices_[index_of(name)];
}

const CheckpointTensor& Checkpoint::stored(const std::string& tensor) const {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) throw Error(tensor, "is no tensor of the model");
  return found->second;
}

nash_swarm::DataType Checkpoint::data_type(const std::string& tensor) const {
  return stored(tensor).stored->type;
}

AlignedBuffer<float> Checkpoint::floats(const std::string& tensor) const {
  const StoredTensor& from = *stored(tensor).stored;
  AlignedBuffer<float> values(from.bytes.size() / nash_swarm::size_of(from.type));
  nash_swarm::read_floats(from, 0, {values.data(), values.size()});
  return values;
}

void Checkpoint::check_finite(ThreadPool& pool) const {
  for (const auto& [name, tensor] : tensors_) {
    check_tensor_finite(*tensor.stored, export_again, pool);
    tensor.file->release(*tensor.stored);
  }
}

std::uint64_t Checkpoint::fingerprint() const {
  nash_swarm::Fingerprint fingerprint;
  fingerprint.add(config_text_);
  for (const auto& [name, tensor] : tensors_) {
    fingerprint.add(name);
    fingerprint.add(nash_swarm::name_of(tensor.stored->type));
    fingerprint.add(tensor.stored->bytes);
    tensor.file->release(*tensor.stored);
  }
  return fingerprint.value();
}

namespace {

PartSource float_parts(const Checkpoint& checkpoint, bool resident,
                       const WeightTransform& transform) {
  const auto source_of = [&checkpoint, transform](const std::string& name) {
    const std::shared_ptr<const WeightSource>& original = checkpoint.matrix(name);
    return transform ? transform(original) : original;
  };
  PartSource parts;
  parts.floats = [&checkpoint](const std::string& tensor) { return checkpoint.floats(tensor); };
  parts.linear = [source_of, resident](const std::string& matrix) {
    return std::make_unique<FloatLinear>(source_of(matrix), resident);
  };
  parts.embedding = [source_of, resident](const std::string& matrix) {
    return std::make_unique<FloatEmbedding>(source_of(matrix), resident);
  };
  return parts;
}

}  // namespace

Model make_float_model(const Checkpoint& checkpoint, bool resident,
                       const WeightTransform& transform) {
  return assemble_model(checkpoint.config(), float_parts(checkpoint, resident, transform));
}

std::unique_ptr<TokenEmbedding> make_float_embedding(const Checkpoint& checkpoint, bool resident) {
  return assemble_embedding(checkpoint.config(), float_parts(checkpoint, resident, {}));
}

}  // namespace transformer
