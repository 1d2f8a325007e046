#pragma once

#include <map>
#include <string>
#include <vector>

#include <nash_swarm/io/packed_model.hpp>

#include "transformer/scope.hpp"

namespace transformer {

/// Everything in a checkpoint's packed file but the header and the matrices of the scope: matrices
/// that stay unquantized, biases, norms and positions, config and vocabulary.
/// @param checkpoint outlives the tensors, which read from it as they are written
std::vector<nash_swarm::OtherTensor> other_tensors(const Checkpoint& checkpoint, Scope scope);

/// The tensors with other values in some of them.
/// @param values by name of the tensor; outlives the tensors
std::vector<nash_swarm::OtherTensor> with_values(
    std::vector<nash_swarm::OtherTensor> tensors,
    const std::map<std::string, std::vector<float>>& values);

}  // namespace transformer
