#pragma once

#include <nash_swarm/core/executor.hpp>

namespace support {

/// For what does not depend on threads.
inline nash_swarm::SerialExecutor serial;

}  // namespace support
