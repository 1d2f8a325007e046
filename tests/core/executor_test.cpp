#include <nash_swarm/core/executor.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <functional>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>

using nash_swarm::Executor;
using nash_swarm::ExecutorView;
using nash_swarm::SerialExecutor;

namespace {

/// Stands for a host's pool: works through the indices backwards.
struct HostPool {
  template <class Body>
  void for_each(std::size_t count, const Body& body) {
    while (count-- > 0) body(count);
  }
};

struct HostExecutor {
  HostPool& pool;
  template <class Body>
  void run(std::size_t count, Body&& body) {
    pool.for_each(count, body);
  }
};

struct ErasedExecutor {
  void run(std::size_t count, const std::function<void(std::size_t)>& body) {
    for (std::size_t index = 0; index < count; ++index) body(index);
  }
};

struct WithoutRun {};
struct WithoutCount {
  void run(const std::function<void(std::size_t)>& body);
};
struct BodyOfTwoIndices {
  void run(std::size_t count, const std::function<void(std::size_t, std::size_t)>& body);
};
struct PlainFunctionsOnly {
  void run(std::size_t count, void (*body)(std::size_t));
};
struct NamedBodiesOnly {  // cannot take the lambdas that the library hands over
  template <class Body>
  void run(std::size_t count, Body& body);
};
class PrivateRun {
  template <class Body>
  void run(std::size_t count, Body&& body);
};

static_assert(Executor<HostExecutor>);
static_assert(Executor<ErasedExecutor>);
static_assert(Executor<SerialExecutor> && Executor<const SerialExecutor>);
static_assert(Executor<nash_swarm::ThreadPool>);
static_assert(Executor<ExecutorView> && std::is_convertible_v<HostExecutor&, ExecutorView>);
static_assert(!std::is_convertible_v<PrivateRun&, ExecutorView>);
static_assert(!Executor<const nash_swarm::ThreadPool>);
static_assert(!Executor<WithoutRun> && !Executor<WithoutCount> && !Executor<BodyOfTwoIndices>);
static_assert(!Executor<PlainFunctionsOnly> && !Executor<NamedBodiesOnly>);
static_assert(!Executor<PrivateRun> && !Executor<int>);

template <Executor E>
std::vector<int> count_calls(E& executor, std::size_t count) {
  std::vector<int> calls(count);
  executor.run(count, [&](std::size_t index) { ++calls[index]; });
  return calls;
}

}  // namespace

TEST_CASE("executor: a host's pool and the serial one call every index once") {
  HostPool pool;
  HostExecutor host{pool};
  ErasedExecutor erased;
  SerialExecutor in_order;
  for (const std::size_t count : {0u, 1u, 2u, 17u}) {
    const std::vector<int> once(count, 1);
    CHECK(count_calls(host, count) == once);
    CHECK(count_calls(erased, count) == once);
    CHECK(count_calls(in_order, count) == once);
    for (ExecutorView view : {ExecutorView(host), ExecutorView(erased), ExecutorView(in_order)}) {
      CHECK(count_calls(view, count) == once);
    }
  }
}

TEST_CASE("executor: one that counts no threads has one task") {
  struct Uncounted : SerialExecutor {
    static constexpr int threads() noexcept { return 0; }
  };
  CHECK(nash_swarm::detail::enough_tasks(Uncounted()) == 1);
}

TEST_CASE("executor: the serial one goes in order and lets exceptions through") {
  const SerialExecutor in_order;
  std::vector<std::size_t> order;
  CHECK_THROWS_AS(in_order.run(5,
                               [&](std::size_t index) {
                                 if (index == 3) throw std::runtime_error("stop");
                                 order.push_back(index);
                               }),
                  std::runtime_error);
  CHECK(order == std::vector<std::size_t>{0, 1, 2});
}
