#pragma once

#include <string>
#include <vector>

#include <nash_swarm/io/gguf_reader.hpp>

#include "type_losses.hpp"

namespace gguf {

/// The matrices of a float GGUF model that llama-quantize would quantize, in the order of the file,
/// experts one below the other. They refer to the file.
/// @throws nash_swarm::Error naming the file for one part of a split model, and the tensor for one
///   that is quantized already
std::vector<Matrix> quantizable_matrices(const nash_swarm::GgufFile& model);

/// The mean squares of a tensor's inputs out of an imatrix file (GGUF, as llama-imatrix writes it:
/// the tensors NAME.in_sum2 [experts, in] and NAME.counts [experts]), experts taken together; empty
/// if there are none.
/// @throws nash_swarm::Error naming file and tensor for sums that are no mean squares
std::vector<float> mean_squares(const nash_swarm::GgufFile& imatrix, const std::string& tensor);

}  // namespace gguf
