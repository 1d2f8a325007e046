#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>

namespace nash_swarm {

/// What a call throws that the host has cancelled.
class Cancelled : public Error {
 public:
  NASH_SWARM_KEYED Cancelled() : Error("nash_swarm", "cancelled by the host") {}
};

/// Tells the host of every finished task of another executor, and stops where the host says so. It
/// shows the progress of all that takes an executor, and cancels it. (`allocate` for a Model takes
/// none; it runs on its caller, about half a second for 10^8 weights.)
///
///     WatchedExecutor watched(pool, [&](std::size_t finished, std::size_t count) {
///       show(finished, count);
///       return !stop_button.pressed();
///     });
///     const PackedMatrix packed = pack(weights, plan[name], moments, watched);
///
/// A call runs several sets of tasks one after the other; the tasks of one are of like size. A
/// cancelled call leaves a Model as it was and no file; what it was writing to, such as moments or
/// outputs, is to be thrown away. Exceptions of tasks are kept on the thread that meets them and
/// thrown again to the caller of `run`, so the other executor need not be able to pass them on.
template <Executor E>
class WatchedExecutor {
 public:
  /// Takes the numbers of finished tasks and of all tasks of a set; false cancels the call, which
  /// then throws Cancelled as soon as tasks that have begun are done. Called on any thread, one
  /// call at a time; must not use this executor. What it throws reaches the caller of `run`.
  using Observer = std::function<bool(std::size_t finished, std::size_t count)>;

  /// @param executor outlives this
  NASH_SWARM_KEYED WatchedExecutor(E& executor, Observer observer)
      : executor_(&executor), observer_(std::move(observer)) {}

  std::size_t threads() const noexcept requires requires(const E& executor) { executor.threads(); }
  { return executor_->threads(); }

  template <class Body>
  NASH_SWARM_KEYED void run(std::size_t count, Body&& body) {
    std::atomic<bool> stopped{false};
    std::size_t finished = 0;
    std::exception_ptr error;
    executor_->run(count, [&](std::size_t index) {
      if (stopped.load(std::memory_order_relaxed)) return;
      try {
        body(index);
        const std::lock_guard lock(mutex_);
        if (stopped.load(std::memory_order_relaxed) || observer_(++finished, count)) return;
        stopped.store(true, std::memory_order_relaxed);
        error = std::make_exception_ptr(Cancelled());
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!error) error = std::current_exception();
        stopped.store(true, std::memory_order_relaxed);
      }
    });
    if (error) std::rethrow_exception(error);
  }

 private:
  E* executor_;
  Observer observer_;
  std::mutex mutex_;
};

}  // namespace nash_swarm
