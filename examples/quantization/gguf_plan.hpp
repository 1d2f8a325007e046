#pragma once

#include <nash_swarm/core/thread_pool.hpp>

#include "gguf/type_plan.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/quantizer.hpp"

namespace quantization {

/// Types of llama.cpp for the matrices of a quantizer that has calibrated.
/// @param bits per weight, scales included
/// @throws nash_swarm::Error naming a matrix that llama.cpp has no name for, or as
///   gguf::plan_types does
gguf::TypePlan gguf_plan(const transformer::Checkpoint& checkpoint,
                         const transformer::Quantizer& quantizer, double bits,
                         nash_swarm::ThreadPool& pool);

}  // namespace quantization
