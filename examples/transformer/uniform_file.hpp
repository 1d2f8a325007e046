#pragma once

#include <filesystem>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/formats.hpp>

#include "transformer/checkpoint.hpp"

namespace transformer {

/// Writes a packed file with all matrices of a checkpoint in one format, every weight rounded to
/// its nearest code in a rotated basis: it has the size and the speed of the format, not its
/// accuracy.
/// @throws nash_swarm::Error naming the tensor that is not finite, or the target
void write_uniform_file(const Checkpoint& checkpoint, nash_swarm::FormatId format,
                        const std::filesystem::path& target, nash_swarm::ThreadPool& pool);

}  // namespace transformer
