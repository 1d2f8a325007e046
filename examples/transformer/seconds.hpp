#pragma once

#include <chrono>

namespace transformer {

using Clock = std::chrono::steady_clock;

/// Wall time.
inline double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace transformer
