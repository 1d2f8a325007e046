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
#include "support/serial.hpp"

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
using support::serial;

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
    std::uint64_t bytes = 8 + 2 * 96 + 8 + 8;      // a permuted basis with its seed, and two seeds
    for (const auto& matrix : model.matrices()) {  // row scales, and a byte for each panel
      bytes += 2 * matrix.out_features + (matrix.out_features + 15) / 16;
    }
    return bytes;
  }
};

/// The tables of the game, built from nothing but the matrices' shapes and losses.
struct Tables {
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
  std::vector<nash_swarm::Edge> edges;
  std::vector<std::uint32_t> strategy;

  Tables(const Model& model, const Plan& plan) {
    std::vector<const InputBasis*> seen;
    for (const auto& matrix : model.matrices()) {
      std::uint64_t once = 2 * matrix.out_features;
      if (std::find(seen.begin(), seen.end(), matrix.basis.get()) == seen.end()) {
        seen.push_back(matrix.basis.get());
        once += matrix.basis->stored_bytes();
      }
      const std::size_t blocks = (matrix.in_features + 63) / 64;
      const std::vector<std::uint32_t> formats =
          nash_swarm::allowed_formats({}, {matrix.name}).front();
      for (std::size_t p = 0; p < (matrix.out_features + 15) / 16; ++p) {
        for (std::size_t b = 0; b < blocks; ++b) {
          const std::size_t player = first.size() - 1;
          if (b > 0) edges.push_back({player - 1, player, 2});
          for (const std::uint32_t f : formats) {
            bytes.push_back(nash_swarm::format_table[f].block_bytes + (b == 0 ? 1 : 0) +
                            (p + b == 0 ? once : 0));
            loss.push_back(matrix.payoff.cell_loss(p, b, f));
          }
          first.push_back(bytes.size());
          const auto format = std::find(formats.begin(), formats.end(),
                                        nash_swarm::format_index(plan[matrix.name].cells(p, b)));
          strategy.push_back(static_cast<std::uint32_t>(format - formats.begin()));
        }
      }
    }
  }

  nash_swarm::Game game() const { return {{first, bytes, loss}, {}, edges}; }
};

}  // namespace

TEST_CASE("plan: bytes are within the budget, as planned, and as packed") {
  const TestModel test;
  std::uint64_t previous_bytes = 0;
  double previous_loss = std::numeric_limits<double>::infinity();
  for (std::uint64_t budget = test.smallest(); budget < 40000; budget += 2991) {
    CAPTURE(budget);
    const Plan plan = nash_swarm::allocate(test.model, Budget::bytes(budget));
    REQUIRE(plan.matrices().size() == 5);
    std::uint64_t packed_bytes = 0;
    for (const auto& basis : nash_swarm::distinct_bases(plan.matrices())) {
      packed_bytes += basis->stored_bytes();
    }
    for (const auto& matrix : plan.matrices()) {
      const Row& weights = test.weights.at(matrix.name);
      packed_bytes += nash_swarm::pack(rows_of(weights, matrix.in_features), matrix,
                                       InputMoment(matrix.name, matrix.in_features), serial)
                          .stored_bytes();
    }
    CHECK(packed_bytes <= budget);
    CHECK(nash_swarm::planned_bytes(plan.matrices()) == packed_bytes);
    CHECK(plan.certificate().bytes == packed_bytes);
    CHECK(plan.certificate().budget == budget);
    CHECK(plan.predicted_loss() <= previous_loss * 1.001);
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
    CHECK(nash_swarm::verify(plan.certificate(), tables.game(), tables.strategy) == "");
    CHECK(plan.certificate().players == tables.strategy.size());
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

TEST_CASE("plan: a budget above the largest gives every cell the widest format") {
  const TestModel test;
  const Plan plan = nash_swarm::allocate(test.model, Budget::bits(64.0));
  for (const auto& matrix : plan.matrices()) {
    CHECK(matrix.cells == nash_swarm::CellMap(matrix.cells.panels(), matrix.cells.blocks(),
                                              nash_swarm::format_table.back().id));
  }
  CHECK(plan.certificate().price == 0.0);
}

TEST_CASE("plan: bits per weight bound the bytes") {
  const TestModel test;
  CHECK(test.model.weights() == 40 * 70 + 33 * 96 + 16 * 96 + 70 * 40 + 17 * 96);
  CHECK(Budget::bits(3.0).for_weights(1000) == 375);
  CHECK(Budget::bits(3.0).for_weights(1001) == 375);
  CHECK(Budget::bytes(77).for_weights(1000) == 77);
  CHECK(Budget::bits(1e30).for_weights(1000) == std::uint64_t{1} << 63);
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

TEST_CASE("plan: cells of one matrix differ where their inputs do") {
  // Two rotation groups of 64 channels, the second with inputs thirty times as large.
  constexpr std::size_t in = 64 * 3;
  Row x = support::random_inputs(1000, in, 4);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] *= i % in / 64 == 1 ? 30.0f : 1.0f;
  InputMoment moment("w", in);
  moment.add(rows_of(x, in), serial);
  Model model;
  model.add("w", rows_of(support::random_inputs(32, in, 3), in), moment, serial);
  const nash_swarm::CellMap cells =
      nash_swarm::allocate(model, Budget::bits(4.0)).matrices().front().cells;
  CHECK(nash_swarm::format_index(cells(0, 1)) > nash_swarm::format_index(cells(0, 0)));
  CHECK(nash_swarm::format_index(cells(1, 1)) > nash_swarm::format_index(cells(1, 2)));
}

TEST_CASE("plan: rules are kept, and what they leave is certified") {
  const TestModel test;
  nash_swarm::Rules rules;
  rules.fixed = {{"^[qk]$", "b4_l4"}};
  rules.forbidden = {{"down", "pruned"}, {"down", "b2_hash32"}, {"down", "b2_l2"}};
  rules.max_bits = 8.0;
  for (const double bits : {5.0, 6.0, 30.0}) {
    const Plan plan = nash_swarm::allocate(test.model, Budget::bits(bits), rules);
    for (const auto& matrix : plan.matrices()) {
      for (std::size_t p = 0; p < matrix.cells.panels(); ++p) {
        for (const nash_swarm::FormatId id : matrix.cells.panel(p)) {
          const nash_swarm::Format& format = nash_swarm::format_table[nash_swarm::format_index(id)];
          if (matrix.name == "q" || matrix.name == "k") CHECK(format.name == "b4_l4");
          if (matrix.name == "down") {
            CHECK(format.block_bytes != 0);
            CHECK(format.bits_per_weight() != 2.0);
          }
          CHECK(format.bits_per_weight() <= 8.0);
        }
      }
    }
    CHECK(plan.certificate().bytes == nash_swarm::planned_bytes(plan.matrices()));
    CHECK(plan.certificate().epsilon == 0.0);
  }
  const Plan any = nash_swarm::allocate(test.model, Budget::bits(8.0));
  const std::uint64_t smallest =
      nash_swarm::planned_bytes(nash_swarm::smallest_plan(any.matrices(), rules));
  CHECK(nash_swarm::allocate(test.model, Budget::bytes(smallest), rules).certificate().bytes ==
        smallest);
  CHECK(contains(
      message_of([&] { nash_swarm::allocate(test.model, Budget::bytes(smallest - 1), rules); }),
      std::to_string(smallest)));
}

TEST_CASE("plan: a budget of time beside the bytes has a price of its own") {
  const TestModel test;
  const auto time_of = [](const Plan& plan, const std::vector<std::uint64_t>& block_time) {
    std::uint64_t time = 0;
    for (const auto& matrix : plan.matrices()) {
      for (std::size_t p = 0; p < matrix.cells.panels(); ++p) {
        for (const nash_swarm::FormatId id : matrix.cells.panel(p)) {
          time += block_time[nash_swarm::format_index(id)];
        }
      }
    }
    return time;
  };
  // Only linear formats are fast here, so that bytes and time want different plans.
  nash_swarm::Rules rules;
  rules.time = {{}, std::numeric_limits<std::uint64_t>::max()};
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    const bool linear = format.name.starts_with("linear");
    rules.time->block_time.push_back(format.block_bytes == 0 ? 1 : linear ? 12 : 40);
  }
  const Budget budget = Budget::bits(4.0);
  const Plan leisurely = nash_swarm::allocate(test.model, budget, rules);
  CHECK(leisurely.certificate().time == time_of(leisurely, rules.time->block_time));
  CHECK(leisurely.certificate().time_price == 0.0);
  rules.time->budget = leisurely.certificate().time * 7 / 10;
  const Plan quick = nash_swarm::allocate(test.model, budget, rules);
  CHECK(quick.certificate().time == time_of(quick, rules.time->block_time));
  CHECK(quick.certificate().time <= rules.time->budget);
  CHECK(quick.certificate().time_price > 0.0);
  CHECK(quick.certificate().bytes <= quick.certificate().budget);
  CHECK(quick.certificate().epsilon == 0.0);
  CHECK(quick.certificate().loss > leisurely.certificate().loss);
  CHECK(quick.certificate().lower_bound >= leisurely.certificate().lower_bound);
  rules.time->budget = 1;
  CHECK(contains(message_of([&] { nash_swarm::allocate(test.model, budget, rules); }),
                 "less than the shortest possible"));
  rules.time->block_time.pop_back();
  CHECK(contains(message_of([&] { nash_swarm::allocate(test.model, budget, rules); }),
                 std::to_string(nash_swarm::format_count - 1) + " times for " +
                     std::to_string(nash_swarm::format_count) + " formats"));
}

TEST_CASE("plan: cells that somebody else has chosen are certified, or refused") {
  const TestModel test;
  const Plan plan = nash_swarm::allocate(test.model, Budget::bits(3.0));
  const auto& certificate = plan.certificate();
  const auto certified = [&](std::vector<nash_swarm::MatrixPlan> plans) {
    return nash_swarm::certify(test.model, std::move(plans), certificate.budget, certificate.price);
  };
  CHECK(certified(plan.matrices()).certificate() == certificate);
  auto worse = plan.matrices();
  worse[4].cells = nash_swarm::CellMap(2, 2, nash_swarm::FormatId{0});
  CHECK(certified(worse).certificate().epsilon > 0.0);
  CHECK(certified(worse).certificate().loss > certificate.loss);
  CHECK(certified(worse).certificate().bytes == nash_swarm::planned_bytes(worse));
  auto larger = plan.matrices();
  larger[1].cells = nash_swarm::CellMap(3, 2, nash_swarm::FormatId{16});
  CHECK(contains(message_of([&] { certified(larger); }), "more than the budget"));
  std::swap(worse[0], worse[1]);
  CHECK(message_of([&] { certified(worse); }).starts_with("q: "));
  worse.pop_back();
  CHECK(message_of([&] { certified(worse); }).starts_with("plan: "));
}
