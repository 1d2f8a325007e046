#include "transformer/load_model.hpp"

#include <nash_swarm/core/error.hpp>
#include <system_error>
#include <utility>

#include "transformer/tokenizer_files.hpp"

namespace transformer {
namespace {

std::string name_of_path(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(path, ignored);
  return whole.has_filename() ? whole.filename().string() : path.string();
}

LoadedModel load_checkpoint(const std::filesystem::path& folder, bool resident,
                            nash_swarm::ThreadPool& pool) {
  auto checkpoint = std::make_unique<Checkpoint>(folder);
  Tokenizer tokenizer = checkpoint->make_tokenizer();
  checkpoint->check_finite(pool);
  Model model = make_float_model(*checkpoint, resident);
  return {
      name_of_path(folder), checkpoint->config(), std::move(model), std::move(tokenizer), nullptr,
      std::move(checkpoint)};
}

/// What stands in floats beside the matrices, and their scales.
void check_finite(const nash_swarm::SafetensorsFile& file, nash_swarm::ThreadPool& pool) {
  using nash_swarm::DataType;
  for (const nash_swarm::StoredTensor& tensor : file.tensors()) {
    if (tensor.type == DataType::F32 || tensor.type == DataType::F16 ||
        tensor.type == DataType::BF16) {
      check_tensor_finite(tensor, "quantize the model again", pool);
      file.release(tensor);
    }
  }
}

LoadedModel load_packed(const std::filesystem::path& path, bool resident, ProductInputs inputs,
                        nash_swarm::ThreadPool& pool) {
  auto file = std::make_shared<const nash_swarm::PackedModelFile>(path);
  const Config config = packed_config(*file);
  Tokenizer tokenizer = make_tokenizer(tokenizer_files(*file), config.vocab_size);
  check_finite(file->file(), pool);
  Model model = make_packed_model(file, resident, inputs);
  return {name_of_path(path),   config,          std::move(model),
          std::move(tokenizer), std::move(file), nullptr};
}

}  // namespace

LoadedModel load_model(const std::filesystem::path& path, bool resident,
                       nash_swarm::ThreadPool& pool, ProductInputs inputs) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw nash_swarm::Error(
        path.string(), "cannot be opened" + (error ? " (" + error.message() + ")" : std::string()),
        "pass the folder of a checkpoint or a packed model file");
  }
  if (std::filesystem::is_directory(status)) return load_checkpoint(path, resident, pool);
  return load_packed(path, resident, inputs, pool);
}

}  // namespace transformer
