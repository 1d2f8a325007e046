#pragma once

#include <nash_swarm/core/thread_pool.hpp>

#include "gguf/type_plan.hpp"
#include "gpt2/checkpoint.hpp"
#include "gpt2/quantizer.hpp"

namespace quantization {

/// Types of llama.cpp for the matrices of a quantizer that has calibrated.
/// @param bits per weight, scales included
/// @throws nash_swarm::Error naming a matrix that llama.cpp has no name for, or as
///   gguf::plan_types does
gguf::TypePlan gguf_plan(const gpt2::Checkpoint& checkpoint, const gpt2::Quantizer& quantizer,
                         double bits, nash_swarm::ThreadPool& pool);

}  // namespace quantization
