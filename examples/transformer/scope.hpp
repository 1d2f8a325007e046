#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "transformer/checkpoint.hpp"

namespace transformer {

/// Which matrices are quantized: all, those of the layers ("blocks"), or the head, which may be the
/// token embedding as well.
enum class Scope { all, blocks, lm_head };

/// "all", "blocks" or "lm_head".
/// @throws nash_swarm::Error for another word
Scope parse_scope(const std::string& word);
std::string_view name_of(Scope scope);
bool in_scope(Scope scope, MatrixRole role);

/// The matrices of a checkpoint that a scope covers.
std::vector<std::shared_ptr<const WeightSource>> matrices_in_scope(const Checkpoint& checkpoint,
                                                                   Scope scope);

}  // namespace transformer
