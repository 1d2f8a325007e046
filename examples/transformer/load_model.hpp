#pragma once

#include <filesystem>
#include <memory>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/packed_model.hpp>
#include <string>

#include "transformer/checkpoint.hpp"
#include "transformer/config.hpp"
#include "transformer/model.hpp"
#include "transformer/packed.hpp"
#include "transformer/tokenizer.hpp"

namespace transformer {

/// A model that is ready to run, and what it was made of: one of `packed` and `checkpoint` is set.
struct LoadedModel {
  std::string name;  ///< name of the folder or file, without the path to it
  Config config;
  Model model;
  Tokenizer tokenizer;
  std::shared_ptr<const nash_swarm::PackedModelFile> packed;
  std::unique_ptr<Checkpoint> checkpoint;
};

/// Opens a folder as a float checkpoint, or a file as a packed model, which has config and
/// vocabulary in it; all floats are checked to be finite.
/// @param resident true to keep one float32 copy of every float matrix (for generation), false to
/// convert them whenever they are used (for batches of many tokens)
/// @param inputs of the matrices of a packed model
/// @throws nash_swarm::Error naming file, and key or tensor, of whatever is missing or does not fit
LoadedModel load_model(const std::filesystem::path& path, bool resident,
                       nash_swarm::ThreadPool& pool,
                       ProductInputs inputs = ProductInputs::eight_bits);

}  // namespace transformer
