#pragma once

#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "transformer/checkpoint.hpp"

namespace nash_swarm::test {

/// The folder of the bundled model.
inline const std::filesystem::path bundled =
    std::filesystem::path(NASH_SWARM_EXAMPLE_DATA) / "wiki-gpt2";

inline const transformer::Checkpoint& bundled_checkpoint() {
  static const transformer::Checkpoint opened(bundled);
  return opened;
}

/// The folders of the bundled models of other families.
inline const std::filesystem::path bundled_llama = bundled.parent_path() / "wiki-llama";
inline const std::filesystem::path bundled_opt = bundled.parent_path() / "wiki-opt";

/// What another implementation says of the bundled model.
inline const nlohmann::json& reference() {
  static const nlohmann::json json =
      nlohmann::json::parse(std::ifstream(bundled / "reference.json"));
  return json;
}

}  // namespace nash_swarm::test
