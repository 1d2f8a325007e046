#include "transformer/checkpoint_files.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/json_text.hpp>
#include <nash_swarm/io/mapped_file.hpp>

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::SafetensorsFile;
using nash_swarm::StoredTensor;

constexpr const char* fetch_again = "download the checkpoint again";

/// The shard of every tensor, as an index says.
std::map<std::string, std::string> read_index(const std::filesystem::path& path) {
  const nash_swarm::MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  const nlohmann::json index = nash_swarm::parse_json(path.string(), text, fetch_again);
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object()) {
    throw Error(path.string(), "has no \"weight_map\"", fetch_again);
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    if (!shard.is_string() || shard.get<std::string>().find('/') != std::string::npos) {
      throw Error(name,
                  nash_swarm::printable_value(shard) + " is no file name, in " + path.string(),
                  fetch_again);
    }
    shards[name] = shard.get<std::string>();
  }
  return shards;
}

std::vector<CheckpointTensor> tensors_of(const std::shared_ptr<const SafetensorsFile>& file) {
  std::vector<CheckpointTensor> tensors;
  for (const StoredTensor& tensor : file->tensors()) tensors.push_back({&tensor, file});
  return tensors;
}

}  // namespace

std::vector<CheckpointTensor> checkpoint_tensors(const std::filesystem::path& folder) {
  const std::filesystem::path index_path = folder / "model.safetensors.index.json";
  if (!std::filesystem::exists(index_path)) {
    return tensors_of(std::make_shared<const SafetensorsFile>(folder / "model.safetensors"));
  }
  std::map<std::string, std::string> shard_of = read_index(index_path);
  std::set<std::string> shards;
  for (const auto& [name, shard] : shard_of) shards.insert(shard);
  std::vector<CheckpointTensor> tensors;
  for (const std::string& shard : shards) {
    for (CheckpointTensor& tensor :
         tensors_of(std::make_shared<const SafetensorsFile>(folder / shard))) {
      const std::string& name = tensor.stored->name;
      const auto found = shard_of.find(name);
      if (found == shard_of.end() || found->second != shard) {
        throw Error(name, "is in " + tensor.stored->file + ", and not so in " + index_path.string(),
                    fetch_again);
      }
      shard_of.erase(found);
      tensors.push_back(std::move(tensor));
    }
  }
  if (shard_of.empty()) return tensors;
  throw Error(shard_of.begin()->first,
              "is not in " + (folder / shard_of.begin()->second).string() + ", where " +
                  index_path.string() + " has it",
              fetch_again);
}

}  // namespace transformer
