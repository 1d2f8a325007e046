#pragma once

#include <cstdint>
#include <filesystem>
#include <nash_swarm/core/thread_pool.hpp>
#include <string>

#include "transformer/config.hpp"

namespace transformer {

/// The sizes of a published GPT-2 (Radford et al. 2019, table 2): "124M", "355M", "774M" or "1.5B".
/// @throws nash_swarm::Error for another word
Config published_config(const std::string& size);

/// Writes a checkpoint as Hugging Face publishes it, with random weights of the scale that GPT-2
/// starts its training from (section 2.3): standard deviation 0.02, for positions 0.01, for the
/// matrices that add to the residual stream 0.02 / √(2·n_layer); layer norms 1, biases 0. Weights
/// are F16; they follow from the seed, whatever the number of threads. The vocabulary is made up:
/// the bytes, pairs of bytes, and "<|endoftext|>". The files appear when all of them are written.
/// @param config vocab_size from 257 to 65,793
/// @param folder is made if it does not exist
/// @throws nash_swarm::Error naming the file that exists already or cannot be written
void write_random_checkpoint(const Config& config, const std::filesystem::path& folder,
                             std::uint64_t seed, nash_swarm::ThreadPool& pool);

/// The same for a model of any family.
/// @param config_json its config.json
void write_random_checkpoint(const std::string& config_json, const std::filesystem::path& folder,
                             std::uint64_t seed, nash_swarm::ThreadPool& pool);

}  // namespace transformer
