#include <nash_swarm/core/watched_executor.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>

using nash_swarm::Cancelled;
using nash_swarm::Executor;
using nash_swarm::SerialExecutor;
using nash_swarm::ThreadPool;
using nash_swarm::WatchedExecutor;

namespace {

/// A host's threads that an exception would end the program on.
struct PlainThreads {
  void run(std::size_t count, const std::function<void(std::size_t)>& body) const {
    std::thread other([&] {
      for (std::size_t index = 0; index < count; index += 2) body(index);
    });
    for (std::size_t index = 1; index < count; index += 2) body(index);
    other.join();
  }
};

static_assert(Executor<WatchedExecutor<ThreadPool>>);
static_assert(Executor<WatchedExecutor<PlainThreads>>);

template <class E>
concept TellsThreads = requires(const E& executor) {
  executor.threads();
};
static_assert(TellsThreads<WatchedExecutor<ThreadPool>>);
static_assert(!TellsThreads<WatchedExecutor<PlainThreads>>);

}  // namespace

TEST_CASE("watched executor: every task is told once, in order, on any threads") {
  ThreadPool pool(3);
  std::vector<std::size_t> told;  // plain: the sanitizer would see two calls at a time
  WatchedExecutor watched(pool, [&](std::size_t finished, std::size_t count) {
    CHECK(count == 100);
    told.push_back(finished);
    return true;
  });
  CHECK(watched.threads() == 3);
  std::vector<int> calls(100);
  watched.run(calls.size(), [&](std::size_t index) { ++calls[index]; });
  CHECK(calls == std::vector<int>(100, 1));
  REQUIRE(told.size() == 100);
  for (std::size_t i = 0; i < told.size(); ++i) CHECK(told[i] == i + 1);
}

TEST_CASE("watched executor: cancelled, no more tasks are begun, and the threads work on") {
  ThreadPool pool(2);
  std::atomic<bool> stop{true};
  WatchedExecutor watched(pool,
                          [&](std::size_t finished, std::size_t) { return !stop || finished < 5; });
  std::atomic<std::size_t> calls{0};
  CHECK_THROWS_AS(watched.run(100'000, [&](std::size_t) { ++calls; }), Cancelled);
  CHECK(calls >= 5);
  CHECK(calls <= 6);  // the other thread may have begun one
  stop = false;
  calls = 0;
  watched.run(100, [&](std::size_t) { ++calls; });
  CHECK(calls == 100);
}

TEST_CASE("watched executor: exceptions of tasks and observers pass threads that cannot take any") {
  const PlainThreads threads;
  WatchedExecutor watched(threads, [](std::size_t, std::size_t) { return true; });
  CHECK_THROWS_AS(watched.run(10,
                              [](std::size_t index) {
                                if (index > 3) throw std::out_of_range("task");
                              }),
                  std::out_of_range);
  WatchedExecutor broken(
      threads, [](std::size_t, std::size_t) -> bool { throw std::logic_error("observer"); });
  CHECK_THROWS_AS(broken.run(10, [](std::size_t) {}), std::logic_error);
}

TEST_CASE("watched executor: a run within a run of threads is told and cancelled too") {
  ThreadPool pool(2);
  std::size_t told = 0;
  WatchedExecutor watched(
      pool, [&](std::size_t, std::size_t count) { return count != 7 || ++told < 20; });
  CHECK_THROWS_AS(watched.run(50, [&](std::size_t) { watched.run(7, [](std::size_t) {}); }),
                  Cancelled);
  CHECK(told >= 20);
  CHECK(told <= 21);  // the other thread may have begun a task
}
