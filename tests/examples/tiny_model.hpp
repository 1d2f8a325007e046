#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

#include <nash_swarm/core/thread_pool.hpp>

#include "io/support.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/random_checkpoint.hpp"

namespace nash_swarm::test {

/// Writes a GPT-2 with random weights, for tests that quantize whole models: 128 channels, 1,024
/// tokens, a context of 64.
inline std::filesystem::path write_tiny_model(const std::filesystem::path& folder,
                                              std::size_t layers) {
  transformer::Config config = transformer::published_config("124M");
  config.n_embd = 128;
  config.n_layer = layers;
  config.n_head = config.n_head_kv = 4;
  config.n_ctx = 64;
  config.vocab_size = 1024;
  config.n_inner = 512;
  ThreadPool pool(1);
  transformer::write_random_checkpoint(config, folder, 1, pool);
  return folder;
}

/// The folder of one with a single layer.
inline const std::filesystem::path& tiny_model() {
  static const TemporaryFolder folder;
  static const std::filesystem::path model = write_tiny_model(folder / "tiny", 1);
  return model;
}

inline const transformer::Checkpoint& tiny_checkpoint() {
  static const transformer::Checkpoint opened(tiny_model());
  return opened;
}

/// Checkpoints of a family with a single layer and random weights: 1,024 tokens, a context of 64.
inline const transformer::Checkpoint& tiny_checkpoint(const std::string& family) {
  if (family == "gpt2") return tiny_checkpoint();
  static const TemporaryFolder folder;
  static std::map<std::string, transformer::Checkpoint> opened;
  const auto found = opened.find(family);
  if (found != opened.end()) return found->second;
  const std::string config =
      family == "llama"
          ? R"({"model_type": "llama", "hidden_size": 96, "intermediate_size": 160,
                "num_hidden_layers": 1, "num_attention_heads": 6, "num_key_value_heads": 2,
                "max_position_embeddings": 64, "vocab_size": 1024, "hidden_act": "silu"})"
          : R"({"model_type": "opt", "hidden_size": 96, "ffn_dim": 160, "num_hidden_layers": 1,
                "num_attention_heads": 6, "max_position_embeddings": 64, "vocab_size": 1024})";
  ThreadPool pool(1);
  transformer::write_random_checkpoint(config, folder / family, 1, pool);
  return opened.try_emplace(family, folder / family).first->second;
}

/// Progress that nobody watches.
inline void ignore(std::size_t) {}

}  // namespace nash_swarm::test
