#pragma once

#include <cstdint>
#include <filesystem>

#include <nash_swarm/core/thread_pool.hpp>

#include "gpt2/random_checkpoint.hpp"
#include "io/support.hpp"

namespace nash_swarm::test {

/// The folder of a GPT-2 with random weights, for tests that quantize whole models: one layer of
/// 128 channels, 1,024 tokens, a context of 64.
inline const std::filesystem::path& tiny_model() {
  static const TemporaryFolder folder;
  static const std::filesystem::path model = [] {
    gpt2::Config config = gpt2::published_config("124M");
    config.n_embd = 128;
    config.n_layer = 1;
    config.n_head = 4;
    config.n_ctx = 64;
    config.vocab_size = 1024;
    config.n_inner = 512;
    ThreadPool pool(1);
    gpt2::write_random_checkpoint(config, folder / "tiny", 1, pool);
    return folder / "tiny";
  }();
  return model;
}

}  // namespace nash_swarm::test
