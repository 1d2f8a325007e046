#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

#include <nash_swarm/core/executor.hpp>

#if NASH_SWARM_DEFINITIONS
#include <nash_swarm/core/thread_crew.hpp>
#endif

namespace nash_swarm {
namespace detail {

class ThreadCrew;

inline namespace NASH_SWARM_TARGET {

/// Number of cores, 1 if the system does not tell.
NASH_SWARM_FUNCTION std::size_t core_count() noexcept;

/// A crew of so many threads, the caller included; null for the caller alone.
NASH_SWARM_FUNCTION ThreadCrew* start_crew(std::size_t threads);
NASH_SWARM_FUNCTION void end_crew(ThreadCrew* crew) noexcept;

/// Calls `call(context, index)` for all indices below `count`, or none if the crew is busy.
/// @returns whether it was not
NASH_SWARM_FUNCTION bool run_crew(ThreadCrew& crew, std::size_t count, void* context,
                                  void (*call)(void* context, std::size_t index));

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION std::size_t core_count() noexcept {
  return ThreadCrew::cores();
}

NASH_SWARM_DEFINITION ThreadCrew* start_crew(std::size_t threads) {
  return threads == 1 ? nullptr : new ThreadCrew(threads);
}

NASH_SWARM_DEFINITION void end_crew(ThreadCrew* crew) noexcept {
  delete crew;
}

NASH_SWARM_DEFINITION bool run_crew(ThreadCrew& crew, std::size_t count, void* context,
                                    void (*call)(void* context, std::size_t index)) {
  return crew.run(count, context, call);
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

/// The default executor: a fixed set of threads that take indices one by one. The calling thread
/// works too. Threads that wait look out for a moment before they sleep, since the next product of
/// a model comes sooner than a thread wakes up. A call from within a running body (or from a second
/// thread while the pool is busy) runs serially on its own thread, so nesting cannot block. The
/// first exception of a body is thrown again to the caller after all threads have stopped taking
/// indices.
class ThreadPool {
 public:
  /// @param threads number of threads that work, the caller included; 0 means one per core
  /// @throws std::system_error if the system gives no more threads
  NASH_SWARM_FUNCTION NASH_SWARM_KEYED explicit ThreadPool(std::size_t threads = 0)
      : threads_(threads == 0 ? detail::core_count() : threads),
        crew_(detail::start_crew(threads_)) {}
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  NASH_SWARM_KEYED ~ThreadPool() { detail::end_crew(crew_); }

  /// Number of threads that work, the caller included.
  std::size_t threads() const noexcept { return threads_; }

  template <class Body>
  NASH_SWARM_KEYED void run(std::size_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    void* const context = const_cast<void*>(static_cast<const void*>(std::addressof(body)));
    const auto call = [](void* own, std::size_t index) { (*static_cast<Plain*>(own))(index); };
    if (count > 1 && crew_ != nullptr && detail::run_crew(*crew_, count, context, call)) return;
    for (std::size_t index = 0; index < count; ++index) body(index);
  }

 private:
  std::size_t threads_;
  detail::ThreadCrew* crew_;
};

}  // namespace nash_swarm
