#include <nash_swarm/core/thread_pool.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using nash_swarm::ThreadPool;

namespace {

static_assert(!std::is_copy_constructible_v<ThreadPool> &&
              !std::is_move_constructible_v<ThreadPool>);

/// Plain, not atomic: two calls of one index at the same time are a race for the sanitizer to see.
std::vector<int> count_calls(ThreadPool& pool, std::size_t count) {
  std::vector<int> calls(count);
  pool.run(count, [&](std::size_t index) { ++calls[index]; });
  return calls;
}

}  // namespace

TEST_CASE("thread_pool: every index is called once") {
  for (const std::size_t threads : {1u, 2u, 3u, 8u}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::size_t count : {0u, 1u, 2u, 3u, 100u, 1000u}) {
      CHECK(count_calls(pool, count) == std::vector<int>(count, 1));
    }
  }
}

TEST_CASE("thread_pool: by default there is one thread per core") {
  const ThreadPool pool;
  const unsigned cores = std::thread::hardware_concurrency();
  CHECK(pool.threads() == (cores == 0 ? 1 : cores));
}

TEST_CASE("thread_pool: two threads work at the same time") {
  ThreadPool pool(2);
  std::atomic<int> arrived{0};
  std::vector<std::thread::id> ids(2);
  pool.run(2, [&](std::size_t index) {  // neither ends before the other has begun
    ids[index] = std::this_thread::get_id();
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
  });
  CHECK(ids[0] != ids[1]);
  CHECK((ids[0] == std::this_thread::get_id() || ids[1] == std::this_thread::get_id()));
}

TEST_CASE("thread_pool: writes of the bodies are seen by the calling thread") {
  ThreadPool pool(3);
  for (std::size_t round = 1; round <= 50; ++round) {
    std::vector<std::size_t> values(64);
    pool.run(values.size(), [&](std::size_t index) { values[index] = index * round; });
    CHECK(std::accumulate(values.begin(), values.end(), std::size_t{0}) == round * 64 * 63 / 2);
  }
}

TEST_CASE("thread_pool: many small jobs on one pool of threads") {
  ThreadPool pool(3);
  std::size_t total = 0;
  for (std::size_t round = 0; round < 2000; ++round) {
    std::atomic<std::size_t> sum{0};
    pool.run(round % 5, [&](std::size_t index) { sum += index + 1; });
    total += sum;
  }
  CHECK(total == 400 * (0 + 1 + 3 + 6 + 10));
}

TEST_CASE("thread_pool: a run within a run works on its own thread") {
  ThreadPool pool(3);
  std::vector<std::vector<int>> calls(20, std::vector<int>(30));
  std::atomic<int> strangers{0};
  pool.run(calls.size(), [&](std::size_t outer) {
    const std::thread::id own = std::this_thread::get_id();
    pool.run(calls[outer].size(), [&](std::size_t inner) {
      ++calls[outer][inner];
      if (std::this_thread::get_id() != own) ++strangers;
    });
  });
  CHECK(calls == std::vector<std::vector<int>>(20, std::vector<int>(30, 1)));
  CHECK(strangers == 0);
}

TEST_CASE("thread_pool: an exception reaches the caller and the threads work on afterwards") {
  for (const std::size_t threads : {1u, 2u, 4u}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 20; ++round) {
      try {
        pool.run(50, [&](std::size_t index) {
          if (index % 10 == 7) throw std::runtime_error("body " + std::to_string(index));
        });
        FAIL("no exception");
      } catch (const std::runtime_error& error) {
        CHECK(std::string(error.what()).starts_with("body "));
      }
      CHECK(count_calls(pool, 50) == std::vector<int>(50, 1));
    }
  }
}

TEST_CASE("thread_pool: after an exception the threads take no new indices") {
  ThreadPool pool(2);
  std::atomic<std::size_t> calls{0};
  CHECK_THROWS_AS(pool.run(1'000'000,
                           [&](std::size_t) {
                             ++calls;
                             throw std::logic_error("at once");
                           }),
                  std::logic_error);
  CHECK(calls <= 2);
}

TEST_CASE("thread_pool: an exception within a nested run reaches the outer caller") {
  ThreadPool pool(2);
  CHECK_THROWS_AS(pool.run(8,
                           [&](std::size_t) {
                             pool.run(4, [](std::size_t index) {
                               if (index == 2) throw std::out_of_range("inner");
                             });
                           }),
                  std::out_of_range);
  CHECK(count_calls(pool, 9) == std::vector<int>(9, 1));
}

TEST_CASE("thread_pool: two threads may call run on one pool") {
  ThreadPool pool(2);
  std::vector<std::vector<int>> calls(2, std::vector<int>(200));
  const auto caller = [&](std::size_t who) {
    for (int round = 0; round < 100; ++round) {
      pool.run(calls[who].size(), [&](std::size_t index) { ++calls[who][index]; });
    }
  };
  std::thread first(caller, 0);
  std::thread second(caller, 1);
  first.join();
  second.join();
  CHECK(calls == std::vector<std::vector<int>>(2, std::vector<int>(200, 100)));
}

TEST_CASE("thread_pool: bodies are called in place and never copied") {
  ThreadPool pool(2);
  struct Body {
    std::atomic<int>& calls;
    Body(std::atomic<int>& counter) : calls(counter) {}
    Body(const Body&) = delete;
    void operator()(std::size_t) const { ++calls; }
  };
  std::atomic<int> calls{0};
  const Body body(calls);
  pool.run(10, body);
  pool.run(10, Body(calls));
  CHECK(calls == 20);
}

TEST_CASE("thread_pool: pools of threads come and go") {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(4);
    if (round % 2 == 0) CHECK(count_calls(pool, 5) == std::vector<int>(5, 1));
  }
}
