#include "gpt2/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/fingerprint.hpp>
#include <nash_swarm/io/mapped_file.hpp>
#include <nash_swarm/io/safetensors_reader.hpp>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <utility>

#include "gpt2/linear.hpp"

namespace gpt2 {
namespace {

using nash_swarm::AlignedBuffer;
using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::StoredTensor;
using nash_swarm::ThreadPool;

constexpr std::string_view published_prefix = "transformer.";
constexpr const char* export_again = "export the checkpoint again";

std::string read_text(const std::filesystem::path& path) {
  const nash_swarm::MappedFile file(path);
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

std::string_view without_prefix(std::string_view name) {
  return name.starts_with(published_prefix) ? name.substr(published_prefix.size()) : name;
}

std::string shape_text(const std::vector<std::size_t>& shape) {
  std::string text;
  for (const std::size_t extent : shape)
    text += (text.empty() ? "" : ", ") + std::to_string(extent);
  return "[" + text + "]";
}

/// True for "h.N.attn.bias" and "h.N.attn.masked_bias": causal masks, which are no weights.
bool is_causal_mask(std::string_view name) {
  if (!name.starts_with("h.")) return false;
  name.remove_prefix(2);
  const std::size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const std::string_view rest = name.substr(digits);
  return digits > 0 && (rest == ".attn.bias" || rest == ".attn.masked_bias");
}

std::string stored_name(const MatrixShape& matrix) {
  return matrix.name + ".weight";
}

/// Everything is a Conv1D, stored [in, out], but the embedding.
bool is_stored_transposed(const MatrixShape& matrix) {
  return matrix.name != "wte";
}

std::vector<std::size_t> stored_shape(const MatrixShape& matrix) {
  if (is_stored_transposed(matrix)) return {matrix.in, matrix.out};
  return {matrix.out, matrix.in};
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

void check_tensor_finite(const StoredTensor& tensor, ThreadPool& pool) {
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
              export_again);
}

}  // namespace

Checkpoint::Checkpoint(const std::filesystem::path& folder)
    : folder_(folder),
      config_text_(read_text(folder / "config.json")),
      vocabulary_text_(read_text(folder / "vocab.json")),
      merges_text_(read_text(folder / "merges.txt")),
      config_(parse_config(config_text_, (folder / "config.json").string())),
      file_(std::make_shared<nash_swarm::SafetensorsFile>(folder / "model.safetensors")) {
  for (const StoredTensor& tensor : file_->tensors()) {
    const std::string name(without_prefix(tensor.name));
    if (is_causal_mask(name)) continue;
    if (!tensors_.emplace(name, &tensor).second) {
      throw Error(tensor.name, "is stored with and without \"transformer.\" in " + tensor.file,
                  export_again);
    }
  }
  find_tensors();
}

void Checkpoint::find_tensors() {
  std::set<std::string> known;
  for (const MatrixShape& matrix : matrix_shapes(config_)) {
    const StoredTensor& tensor = require(stored_name(matrix), stored_shape(matrix));
    matrices_.push_back(std::make_shared<TensorWeightSource>(matrix.name, file_, tensor,
                                                             is_stored_transposed(matrix)));
    known.insert(stored_name(matrix));
  }
  for (const TensorShape& tensor : other_tensor_shapes(config_)) {
    require(tensor.name, tensor.shape);
    known.insert(tensor.name);
  }
  const auto head = tensors_.find("lm_head.weight");
  if (head != tensors_.end() && head->second->shape == tensors_.at("wte.weight")->shape) {
    tensors_.erase(head);  // the tied head, stored twice
  }
  for (const auto& [name, tensor] : tensors_) {
    if (known.contains(name)) continue;
    throw Error(tensor->name,
                "is no tensor of a GPT-2 with " + std::to_string(config_.n_layer) +
                    " layers and a tied head, in " + tensor->file,
                "check that config.json belongs to the weights");
  }
}

const StoredTensor& Checkpoint::require(const std::string& name,
                                        const std::vector<std::size_t>& shape) {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(name, "is missing in " + file_->path().string(), export_again);
  }
  const StoredTensor& tensor = *found->second;
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
  return tensor;
}

const std::shared_ptr<const WeightSource>& Checkpoint::matrix(const std::string& name) const {
  const auto found = std::find_if(matrices_.begin(), matrices_.end(),
                                  [&](const auto& source) { return source->name() == name; });
  if (found == matrices_.end()) throw Error(name, "is no matrix of the model");
  return *found;
}

const StoredTensor& Checkpoint::stored(const std::string& tensor) const {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end()) throw Error(tensor, "is no tensor of the model");
  return *found->second;
}

nash_swarm::DataType Checkpoint::data_type(const std::string& tensor) const {
  return stored(tensor).type;
}

AlignedBuffer<float> Checkpoint::floats(const std::string& tensor) const {
  const StoredTensor& from = stored(tensor);
  AlignedBuffer<float> values(from.bytes.size() / nash_swarm::size_of(from.type));
  nash_swarm::read_floats(from, 0, {values.data(), values.size()});
  return values;
}

void Checkpoint::check_finite(ThreadPool& pool) const {
  for (const StoredTensor& tensor : file_->tensors()) {
    const auto found = tensors_.find(std::string(without_prefix(tensor.name)));
    if (found == tensors_.end() || found->second != &tensor) continue;  // ignored
    check_tensor_finite(tensor, pool);
    file_->release(tensor);
  }
}

std::uint64_t Checkpoint::fingerprint() const {
  nash_swarm::Fingerprint fingerprint;
  fingerprint.add(config_text_);
  for (const auto& [name, tensor] : tensors_) {
    fingerprint.add(name);
    fingerprint.add(nash_swarm::name_of(tensor->type));
    fingerprint.add(tensor->bytes);
    file_->release(*tensor);
  }
  return fingerprint.value();
}

Model make_float_model(const Checkpoint& checkpoint, bool resident,
                       const WeightTransform& transform) {
  const auto source_of = [&](const std::string& name) {
    const std::shared_ptr<const WeightSource>& original = checkpoint.matrix(name);
    return transform ? transform(original) : original;
  };
  PartSource parts;
  parts.floats = [&](const std::string& tensor) { return checkpoint.floats(tensor); };
  parts.linear = [&](const std::string& matrix) {
    return std::make_unique<FloatLinear>(source_of(matrix), resident);
  };
  parts.token_embedding = [&] {
    return std::make_unique<FloatEmbedding>(source_of("wte"), resident);
  };
  return assemble_model(checkpoint.config(), parts);
}

}  // namespace gpt2
