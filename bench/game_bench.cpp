#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/game/allocate.hpp>
#include <nash_swarm/game/baselines.hpp>
#include <nash_swarm/game/certificate.hpp>
#include <optional>
#include <string>

#include "game_instances.hpp"

/// `allocate/<method>/<separable|coupled>/players:<n>/formats:<f>/threads:<t>[/cosine:<c>]`, with
/// the counters gap, epsilon, table_bytes and peak_bytes. The gap of every method is to the lower
/// bound that the plan of nash_swarm on the same instance proves. Only `allocate` is timed.
namespace {

using nash_swarm::Allocation;
using nash_swarm::Game;
using nash_swarm::Method;

struct Size {
  std::size_t players = 0;
  std::string cosine;  // empty: separable

  std::string name() const {
    return std::string(cosine.empty() ? "separable" : "coupled") +
           "/players:" + std::to_string(players) + (cosine.empty() ? "/formats:8" : "/formats:32");
  }
};

/// The instance measured last; the largest leave no room for two.
class Cache {
 public:
  const game_bench::Instance& instance(const Size& size) {
    if (size.name() + size.cosine != name_) {
      instance_ = {};
      instance_ = size.cosine.empty() ? game_bench::separable(size.players)
                                      : game_bench::coupled(size.players, std::stod(size.cosine));
      name_ = size.name() + size.cosine;
      bound_.reset();
    }
    return instance_;
  }

  /// Lower bound from the certificate of nash_swarm.
  double bound() {
    if (!bound_) remember(nash_swarm::allocate(instance_.game(), instance_.budget));
    return *bound_;
  }
  void remember(const Allocation& allocation) {
    bound_ = nash_swarm::certify(instance_.game(), allocation.strategy, instance_.budget,
                                 allocation.price, allocation.y)
                 .lower_bound;
  }

 private:
  std::string name_;
  game_bench::Instance instance_;
  std::optional<double> bound_;
};

Cache& cache() {
  static Cache only;
  return only;
}

double peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return 1024.0 * static_cast<double>(usage.ru_maxrss);
}

void report(benchmark::State& state, const game_bench::Instance& instance,
            const Allocation& allocation) {
  state.counters["peak_bytes"] = peak_bytes();
  state.counters["table_bytes"] = static_cast<double>(instance.table_bytes());
  const auto certificate = nash_swarm::certify(instance.game(), allocation.strategy,
                                               instance.budget, allocation.price, allocation.y);
  state.counters["epsilon"] = certificate.epsilon;
  state.counters["gap"] = (certificate.loss - cache().bound()) / certificate.loss;
}

void measure_nash_swarm(benchmark::State& state, const Size& size, std::size_t threads) {
  const game_bench::Instance& instance = cache().instance(size);
  nash_swarm::ThreadPool pool(threads);
  Allocation allocation;
  for (auto _ : state) allocation = nash_swarm::allocate(instance.game(), instance.budget, pool);
  cache().remember(allocation);
  report(state, instance, allocation);
}

void measure_baseline(benchmark::State& state, const Size& size, const Method& method) {
  const game_bench::Instance& instance = cache().instance(size);
  Allocation allocation;
  for (auto _ : state) allocation = method.allocate(instance.game(), instance.budget, 0);
  report(state, instance, allocation);
}

/// Whether a method finishes an instance of this size in about a minute.
bool is_fit_for(const Method& method, const Size& size) {
  if (method.name == "exhaustive") return false;
  if (method.name == "dynamic_programming") return size.cosine.empty() && size.players <= 1000;
  if (!size.cosine.empty()) return size.players <= 1000;
  const bool fast =
      method.name == "uniform" || method.name == "greedy" || method.name == "lagrangian";
  return size.players <= (fast ? 1'000'000u : 100'000u);
}

void add(const std::string& method, const Size& size, std::size_t threads, auto measure) {
  const std::string name = "allocate/" + method + "/" + size.name() +
                           "/threads:" + std::to_string(threads) +
                           (size.cosine.empty() ? "" : "/cosine:" + size.cosine);
  benchmark::RegisterBenchmark(name.c_str(), measure)->Unit(benchmark::kMillisecond);
}

void add_all(const Size& size) {
  for (const std::size_t threads : {1u, 2u}) {
    add("nash_swarm", size, threads,
        [size, threads](benchmark::State& state) { measure_nash_swarm(state, size, threads); });
  }
  for (const Method& method : nash_swarm::methods) {
    if (!is_fit_for(method, size)) continue;
    add(std::string(method.name), size, 1,
        [size, &method](benchmark::State& state) { measure_baseline(state, size, method); });
  }
}

const bool added = [] {
  for (const std::size_t players : {100u, 1000u, 10'000u}) {
    for (const char* const cosine : {"0", "0.05", "0.3"}) add_all({players, cosine});
  }
  // Ascending, so that the peak of the process is that of the instance.
  for (const std::size_t players : {1000u, 10'000u, 100'000u, 1'000'000u, 10'000'000u}) {
    add_all({players, ""});
  }
  return true;
}();

}  // namespace
