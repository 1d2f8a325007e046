#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <nash_swarm/io/atomic_file.hpp>

#include "type_losses.hpp"

namespace gguf {

/// A tensor as a player: its types are its strategies.
struct TensorTypes {
  std::string tensor;  ///< name in the GGUF file
  std::vector<TypeLoss> types;
};

/// The type of a tensor in a plan.
struct TensorChoice {
  std::string tensor;
  TypeLoss choice;
};

/// Types under a budget, and what proves them an equilibrium.
struct TypePlan {
  std::vector<TensorChoice> tensors;
  nash_swarm::Certificate certificate;
};

/// Chooses a type for every tensor so that their bytes fit the budget and the sum of their losses
/// is small, by the game of nash_swarm.
/// @param budget bytes of these tensors together
/// @throws nash_swarm::Error for a tensor without types, and for a budget below the smallest bytes
TypePlan plan_types(const std::vector<TensorTypes>& tensors, std::uint64_t budget,
                    nash_swarm::ThreadPool& pool);

/// The plan as `llama-quantize --tensor-type-file` takes it (tools/quantize/quantize.cpp): a line
/// `expression=type` for every tensor, where the regular expression matches its name and no other,
/// but for characters that the program would change or cut at (capitals, '=', spaces): there any
/// character matches. llama-quantize heeds the lines only if it is told a quantized type, which
/// tensors beside the plan's then have.
std::string tensor_type_lines(const TypePlan& plan);

/// The plan for people: a line for every tensor, and the certificate.
/// @param weights of these tensors together
std::string plan_text(const TypePlan& plan, std::uint64_t weights);

/// Writes these lines to a file that was opened before the work, and commits it.
/// @throws nash_swarm::Error naming the file if it cannot be written
void write_tensor_types(nash_swarm::AtomicFile& file, const TypePlan& plan);

}  // namespace gguf
