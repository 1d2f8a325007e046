#pragma once

#include <concepts>
#include <cstddef>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {
namespace detail {
struct AnyBody {
  void operator()(std::size_t index) const;
};
}  // namespace detail

/// Whoever can call `body(0) … body(count − 1)`, each once, in any order and on any threads, and
/// return when all are done. A host's own thread pool becomes one in three lines:
///
///     struct HostExecutor {
///       template <class Body> void run(std::size_t count, Body&& body) { pool.for_each(count, body); }
///     };
///
/// The library cuts its work the same way whatever the number of threads, so results do not depend
/// on the executor.
template <class E>
concept Executor = requires(E& executor, std::size_t count) {
  executor.run(count, detail::AnyBody{});  // a temporary, as the library's bodies are
};

/// Runs everything on the calling thread.
struct SerialExecutor {
  template <class Body>
  void run(std::size_t count, Body&& body) const {
    for (std::size_t index = 0; index < count; ++index) body(index);
  }
};

}  // namespace nash_swarm
