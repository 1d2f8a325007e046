#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {
namespace detail {

/// The insides of a ThreadPool: threads that wait for a job, and how they share it with the caller.
/// Apart from it because the headers of threads take long to compile.
class ThreadCrew {
 public:
  /// @param threads number of threads that work, the caller included
  /// @throws std::system_error if the system gives no more threads
  NASH_SWARM_KEYED explicit ThreadCrew(std::size_t threads) {
    // Who waits on a core that others need keeps them from what it waits for.
    patience_ = threads <= cores() ? most_patience : Duration::zero();
    workers_.reserve(threads - 1);
    const std::exception_ptr error = caught([&] {
      for (std::size_t i = 1; i < threads; ++i) {
        workers_.emplace_back(&start, static_cast<void*>(this));
      }
    });
    if (error) {  // the system gives no more threads: those that run must end first
      stop();
      std::rethrow_exception(error);
    }
  }
  ThreadCrew(const ThreadCrew&) = delete;
  ThreadCrew& operator=(const ThreadCrew&) = delete;
  NASH_SWARM_KEYED ~ThreadCrew() { stop(); }

  /// Number of cores, 1 if the system does not tell.
  NASH_SWARM_KEYED static std::size_t cores() noexcept {
    return std::max<std::size_t>(1, std::thread::hardware_concurrency());
  }

  /// Calls `call(context, index)` for all indices below `count`, or none if the crew is busy.
  /// @returns whether it was not
  NASH_SWARM_KEYED bool run(std::size_t count, void* context,
                            void (*call)(void* context, std::size_t index)) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    Job job;
    job.count = count;
    job.context = context;
    job.call = call;
    publish_and_join(job);
    busy_.store(false, std::memory_order_release);
    if (job.error) std::rethrow_exception(job.error);
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Duration = Clock::duration;
  /// About what it takes to wake a thread twice: to wait in vain costs little more than to sleep.
  static constexpr Duration most_patience = std::chrono::microseconds(100);

  struct Job {
    std::size_t count = 0;
    void* context = nullptr;
    void (*call)(void*, std::size_t) = nullptr;
    std::atomic<std::size_t> next{0};
    std::mutex error_mutex;
    std::exception_ptr error;
  };

  /// What a function throws; nothing in files without exceptions.
  template <class Function>
  NASH_SWARM_KEYED static std::exception_ptr caught(Function&& function) noexcept {
#if defined(__cpp_exceptions)
    try {
      function();
    } catch (...) {
      return std::current_exception();
    }
#else
    function();
#endif
    return nullptr;
  }

  /// Waits until `ready()`, but no longer than the patience.
  template <class Ready>
  NASH_SWARM_KEYED void look_out(Ready ready) const noexcept {
    constexpr int looks = 32;  // between two looks at the clock
    if (patience_ == Duration::zero()) return;
    const Clock::time_point end = Clock::now() + patience_;
    do {
      for (int i = 0; i < looks; ++i) {
        if (ready()) return;
        pause();
      }
    } while (Clock::now() < end);
  }

  /// Tells the core that the thread only waits.
  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
  }

  NASH_SWARM_KEYED void stop() noexcept {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  /// Begins a thread of a crew. A lambda would be part of a type of std::thread, which g++ shows to
  /// all that load a shared library, however hidden its own types are. So would one that a
  /// condition variable waits for.
  NASH_SWARM_KEYED static void start(void* crew) {
    static_cast<ThreadCrew*>(crew)->work();
  }

  NASH_SWARM_KEYED static void take_indices(Job& job) noexcept {
    for (;;) {
      const std::size_t index = job.next.fetch_add(1, std::memory_order_relaxed);
      if (index >= job.count) return;
      const std::exception_ptr error = caught([&] { job.call(job.context, index); });
      if (error) {
        const std::lock_guard lock(job.error_mutex);
        if (!job.error) job.error = error;
        job.next.store(job.count, std::memory_order_relaxed);
      }
    }
  }

  NASH_SWARM_KEYED void publish_and_join(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      ++generation_;
    }
    wake_.notify_all();
    take_indices(job);
    {
      const std::lock_guard lock(mutex_);
      job_ = nullptr;  // threads that have not woken yet are not waited for
    }
    const auto done = [this] { return running_ == 0; };
    look_out(done);
    if (done()) return;
    std::unique_lock lock(mutex_);
    while (!done()) done_.wait(lock);
  }

  NASH_SWARM_KEYED void work() {
    std::size_t seen = 0;
    for (;;) {
      const auto called = [&] { return stopping_ || generation_ != seen; };
      look_out(called);
      std::unique_lock lock(mutex_);
      while (!called()) wake_.wait(lock);
      if (stopping_) return;
      seen = generation_;
      Job* const job = job_;
      if (job == nullptr) continue;  // done before this thread came
      ++running_;
      lock.unlock();
      take_indices(*job);
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  Duration patience_ = Duration::zero();
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  Job* job_ = nullptr;
  // Written under the mutex only.
  std::atomic<std::size_t> generation_{0};
  std::atomic<std::size_t> running_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> busy_{false};
};

}  // namespace detail
}  // namespace nash_swarm
