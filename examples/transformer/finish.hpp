#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

#include "transformer/checkpoint.hpp"

namespace transformer {

/// A quantized model whose row scales, biases and norms have been tuned.
struct FinishResult {
  std::vector<nash_swarm::PackedMatrix> matrices;     ///< the same codes
  std::map<std::string, std::vector<float>> tensors;  ///< biases and norms by name, if changed
  double kld_before = 0.0;  ///< nats per token of the held-out windows; 0 if there are none
  double kld_after = 0.0;
};

/// Called with step 0 before the first step, then after each.
using FinishObserver = std::function<void(std::size_t step, std::size_t steps)>;

/// Tunes row scales, biases and norms of a quantized model by gradient descent of the divergence
/// KL(float model ‖ quantized model), the codes being fixed. One window in eight is held out; what
/// is returned is the best for those that was met, as it will be stored: the model as it was if
/// nothing is better, or if there is but one window. Nothing depends on the number of threads.
/// Takes the float32 bytes of all packed matrices.
/// @param tokens whole windows of the model's context
FinishResult finish(const Checkpoint& checkpoint, std::vector<nash_swarm::PackedMatrix> matrices,
                    std::span<const std::int32_t> tokens, nash_swarm::ThreadPool& pool,
                    const FinishObserver& observer);

}  // namespace transformer
