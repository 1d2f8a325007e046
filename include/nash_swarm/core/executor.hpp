#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <type_traits>

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
///       template <class Body>
///       void run(std::size_t count, Body&& body) { pool.for_each(count, body); }
///     };
///
/// An executor may say how many threads it has, by a member `threads()`: products are then cut into
/// tasks as large as that allows. Results do not depend on the executor. Nothing in the library
/// calls `run` from within a body. A body throws where weights or moments are bad: threads that
/// cannot pass that on need a WatchedExecutor around them.
template <class E>
concept Executor = requires(E& executor, std::size_t count) {
  executor.run(count, detail::AnyBody{});  // a temporary, as the library's bodies are
};

/// A view on an executor of any type, for functions that are compiled once for all of them. Any
/// executor converts to it; it must outlive the view.
class ExecutorView {
 public:
  template <Executor E>
    requires(!std::same_as<std::remove_cv_t<E>, ExecutorView>)
  NASH_SWARM_KEYED ExecutorView(E& executor) noexcept
      : executor_(std::addressof(executor)),
        run_([](const void* own, std::size_t count, Task task) {
          static_cast<E*>(const_cast<void*>(own))->run(count, task);
        }) {}

  template <class Body>
  NASH_SWARM_KEYED void run(std::size_t count, Body&& body) const {
    run_(executor_, count,
         {std::addressof(body), [](const void* own, std::size_t index) {
            (*static_cast<std::remove_reference_t<Body>*>(const_cast<void*>(own)))(index);
          }});
  }

 private:
  /// A view on a body.
  struct Task {
    const void* body;
    void (*call)(const void* body, std::size_t index);

    void operator()(std::size_t index) const { call(body, index); }
  };

  const void* executor_;
  void (*run_)(const void* executor, std::size_t count, Task task);
};

/// Runs everything on the calling thread.
struct SerialExecutor {
  static constexpr std::size_t threads() noexcept { return 1; }

  template <class Body>
  NASH_SWARM_KEYED void run(std::size_t count, Body&& body) const {
    for (std::size_t index = 0; index < count; ++index) body(index);
  }
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Calls `body(begin, end)` for bands of [first, last), `band` long, the last one what is left.
template <Executor E, class Body>
void for_each_band(E& executor, std::size_t first, std::size_t last, std::size_t band,
                   const Body& body) {
  executor.run((last - first + band - 1) / band, [&](std::size_t task) {
    const std::size_t begin = first + task * band;
    body(begin, last - begin < band ? last : begin + band);
  });
}

/// How many tasks of like size are as many as an executor needs to keep its threads busy.
template <Executor E>
std::size_t enough_tasks(const E& executor) noexcept {
  constexpr std::size_t for_a_thread = 8;  // so that they end together, though one is slower
  if constexpr (requires { static_cast<std::size_t>(executor.threads()); }) {
    const auto threads = static_cast<std::size_t>(executor.threads());
    return threads <= 1 ? 1 : for_a_thread * threads;
  } else {
    return for_a_thread * 8;
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
