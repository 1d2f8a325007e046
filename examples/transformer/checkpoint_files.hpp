#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include <nash_swarm/io/safetensors_reader.hpp>

namespace transformer {

/// A tensor of a checkpoint, and the file that keeps its bytes.
struct CheckpointTensor {
  const nash_swarm::StoredTensor* stored = nullptr;
  std::shared_ptr<const nash_swarm::SafetensorsFile> file;
};

/// The tensors of a folder: those of model.safetensors, or of the shards that
/// model.safetensors.index.json names.
/// @throws nash_swarm::Error naming the file that is missing or damaged, or the tensor that the
/// index names twice, that is not in its shard, or that is in a shard and not in the index
std::vector<CheckpointTensor> checkpoint_tensors(const std::filesystem::path& folder);

}  // namespace transformer
