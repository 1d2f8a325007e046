#pragma once

#include <algorithm>
#include <cstddef>

#include <nash_swarm/core/thread_pool.hpp>

namespace transformer {

/// Calls `body(row)` for every row, 16 rows to a task.
template <class Body>
void for_each_row(std::size_t rows, nash_swarm::ThreadPool& pool, Body body) {
  constexpr std::size_t slice = 16;
  pool.run((rows + slice - 1) / slice, [&](std::size_t task) {
    const std::size_t end = std::min(rows, (task + 1) * slice);
    for (std::size_t row = task * slice; row < end; ++row) body(row);
  });
}

}  // namespace transformer
