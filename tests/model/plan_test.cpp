#include <nash_swarm/model/plan.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/model/allocate.hpp>
#include <nash_swarm/model/pack.hpp>

#include "io/support.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"

namespace {

using nash_swarm::Budget;
using nash_swarm::InputBasis;
using nash_swarm::InputMoment;
using nash_swarm::Model;
using nash_swarm::Plan;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using support::Row;
using support::rows_of;

nash_swarm::SerialExecutor serial;

/// Five matrices; "q", "k" and "v" share a permuted basis, which the second of them in order names
/// first.
struct TestModel {
  Model model{5};
  std::map<std::string, Row> weights;

  TestModel() {
    const auto shared =
        std::make_shared<const InputBasis>("qkv", 96, 128, 3, support::random_permutation(96, 4));
    add("up", 40, 70, nullptr, 1.0);
    add("q", 33, 96, shared, 3.0);
    add("k", 16, 96, shared, 0.1);
    add("down", 70, 40, nullptr, 2.0);
    add("v", 17, 96, shared, 10.0);
  }

  void add(const std::string& name, std::size_t out, std::size_t in,
           const std::shared_ptr<const InputBasis>& basis, double importance) {
    weights[name] = support::random_inputs(out, in, 50 + weights.size());
    InputMoment moment(name, in);
    moment.add(rows_of(support::random_inputs(4, in, 9), in), serial);
    const auto view = rows_of(weights[name], in);
    if (basis) {
      model.add(name, view, moment, basis, serial, importance);
    } else {
      model.add(name, view, moment, serial, importance);
    }
  }

  std::uint64_t smallest() const {
    std::uint64_t bytes = 8 + 2 * 96 + 8 + 8;  // a permuted basis with its seed, and two seeds
    for (const auto& matrix : model.matrices()) {
      bytes += *std::ranges::min_element(matrix.payoff.bytes);
    }
    return bytes;
  }
};

/// The tables of the game, built from nothing but the matrices' shapes and losses.
struct Tables {
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
  std::vector<std::uint32_t> strategy;

  Tables(const Model& model, const Plan& plan) {
    std::vector<const InputBasis*> seen;
    for (const auto& matrix : model.matrices()) {
      std::uint64_t extra = 0;
      if (std::find(seen.begin(), seen.end(), matrix.basis.get()) == seen.end()) {
        seen.push_back(matrix.basis.get());
        extra = matrix.basis->stored_bytes();
      }
      const std::size_t blocks = (matrix.out_features + 15) / 16 * ((matrix.in_features + 63) / 64);
      for (std::size_t f = 0; f < nash_swarm::format_count; ++f) {
        bytes.push_back(blocks * nash_swarm::format_table[f].block_bytes + 2 * matrix.out_features +
                        2 + extra);
        loss.push_back(matrix.payoff.loss[f]);
      }
      first.push_back(bytes.size());
      strategy.push_back(
          static_cast<std::uint32_t>(nash_swarm::format_index(plan[matrix.name].cells(0, 0))));
    }
  }
};

}  // namespace

TEST_CASE("plan: bytes are within the budget, as planned, and as packed") {
  const TestModel test;
  std::uint64_t previous_bytes = 0;
  double previous_loss = std::numeric_limits<double>::infinity();
  for (std::uint64_t budget = test.smallest(); budget < 40000; budget += 997) {
    CAPTURE(budget);
    const Plan plan = nash_swarm::allocate(test.model, Budget::bytes(budget));
    REQUIRE(plan.matrices().size() == 5);
    std::uint64_t packed_bytes = 0;
    for (const auto& basis : nash_swarm::distinct_bases(plan.matrices())) {
      packed_bytes += basis->stored_bytes();
    }
    for (const auto& matrix : plan.matrices()) {
      const Row& weights = test.weights.at(matrix.name);
      packed_bytes +=
          nash_swarm::pack(rows_of(weights, matrix.in_features), matrix, serial).stored_bytes();
    }
    CHECK(packed_bytes <= budget);
    CHECK(nash_swarm::planned_bytes(plan.matrices()) == packed_bytes);
    CHECK(plan.certificate().bytes == packed_bytes);
    CHECK(plan.certificate().budget == budget);
    CHECK(plan.predicted_loss() <= previous_loss);
    previous_loss = plan.predicted_loss();
    previous_bytes = packed_bytes;
  }
  CHECK(previous_bytes > 30000);
}

TEST_CASE("plan: the certificate holds against tables that the test builds") {
  const TestModel test;
  for (const double bits : {1.0, 2.0, 2.9, 3.0, 4.5, 8.0, 20.0}) {
    CAPTURE(bits);
    const Plan plan = nash_swarm::allocate(test.model, Budget::bits(bits));
    const Tables tables(test.model, plan);
    CHECK(nash_swarm::verify(plan.certificate(), {tables.first, tables.bytes, tables.loss},
                             tables.strategy) == "");
    CHECK(plan.certificate().lower_bound <= plan.certificate().loss);
    CHECK(plan.certificate().epsilon == 0.0);
  }
}

TEST_CASE("plan: a budget below the smallest names it, the smallest is accepted") {
  const TestModel test;
  const std::uint64_t smallest = test.smallest();
  const Plan plan = nash_swarm::allocate(test.model, Budget::bytes(smallest));
  CHECK(plan.certificate().bytes == smallest);
  const std::string message =
      message_of([&] { nash_swarm::allocate(test.model, Budget::bytes(smallest - 1)); });
  CHECK(contains(message, std::to_string(smallest)));
  CHECK(contains(message, "budget"));
}

TEST_CASE("plan: a budget above the largest gives every matrix the widest format") {
  const TestModel test;
  const Plan plan = nash_swarm::allocate(test.model, Budget::bits(64.0));
  for (const auto& matrix : plan.matrices()) {
    CHECK(matrix.cells(0, 0) == nash_swarm::format_table.back().id);
  }
  CHECK(plan.certificate().price == 0.0);
}

TEST_CASE("plan: bits per weight bound the bytes") {
  const TestModel test;
  CHECK(test.model.weights() == 40 * 70 + 33 * 96 + 16 * 96 + 70 * 40 + 17 * 96);
  CHECK(Budget::bits(3.0).for_weights(1000) == 375);
  CHECK(Budget::bits(3.0).for_weights(1001) == 375);
  CHECK(Budget::bytes(77).for_weights(1000) == 77);
  for (const double bad : {0.0, -1.0, std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::quiet_NaN()}) {
    CHECK(contains(message_of([&] { Budget::bits(bad); }), "budget"));
  }
}

TEST_CASE("plan: names that occur twice, empty models and unknown names are refused") {
  TestModel test;
  CHECK(message_of([&] { test.add("q", 4, 64, nullptr, 1.0); }).starts_with("q: "));
  CHECK(test.model.matrices().size() == 5);
  CHECK(
      message_of([] { nash_swarm::allocate(Model(), Budget::bits(3.0)); }).starts_with("model: "));
  const Plan plan = nash_swarm::allocate(test.model, Budget::bits(3.0));
  CHECK(plan["v"].out_features == 17);
  CHECK(message_of([&] { plan["nobody"]; }).starts_with("nobody: "));
}

TEST_CASE("plan: the same for any number of threads") {
  const Row weights = support::random_inputs(300, 100, 1);
  const InputMoment moment("w", 100);
  const auto loss = [&](std::size_t threads) {
    nash_swarm::ThreadPool pool(threads);
    Model model;
    model.add("w", rows_of(weights, 100), moment, pool);
    return nash_swarm::allocate(model, Budget::bits(4.0)).predicted_loss();
  };
  CHECK(loss(1) == loss(2));
  CHECK(loss(1) == loss(3));
}
