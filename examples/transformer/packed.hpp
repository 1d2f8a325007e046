#pragma once

#include <memory>
#include <span>

#include <nash_swarm/io/packed_model.hpp>

#include "transformer/checkpoint.hpp"
#include "transformer/model.hpp"

namespace transformer {

/// How products with packed matrices take their inputs: rounded to 8 or to 16 bits, or as they are.
enum class ProductInputs { eight_bits, sixteen_bits, exact };

/// The config that is embedded in a packed model file.
/// @throws nash_swarm::Error naming the file if it is missing or wrong
Config packed_config(const nash_swarm::PackedModelFile& file);

/// The model of a packed file: packed matrices are used in place, matrices that were left out of
/// the quantization are float, as they are stored.
/// @param resident true to keep one float32 copy of every float matrix
/// @throws nash_swarm::Error naming the tensor that is missing or does not fit the config
Model make_packed_model(std::shared_ptr<const nash_swarm::PackedModelFile> file, bool resident,
                        ProductInputs inputs = ProductInputs::eight_bits);

/// The model of a checkpoint with some of its matrices packed.
/// @throws nash_swarm::Error if one does not fit the config
Model make_packed_model(const Checkpoint& checkpoint,
                        std::span<const nash_swarm::PackedMatrix> matrices);

}  // namespace transformer
