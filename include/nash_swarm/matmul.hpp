#pragma once

/// For hosts that only run packed models: no dependency beyond the standard library.
///
/// Every file that multiplies compiles the kernels, which takes most of a minute. A host of several
/// such files compiles them once; core/config.hpp says how.

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/host_memory.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/matmul.hpp>
#include <nash_swarm/kernel/matmul_exact.hpp>
