#include <nash_swarm/quantize.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/products.hpp"
#include "support/serial.hpp"

/// What a host relies on when it adopts the library.
namespace {

using nash_swarm::Activations;
using nash_swarm::Budget;
using nash_swarm::InputMoment;
using nash_swarm::MatrixPlan;
using nash_swarm::Model;
using nash_swarm::PackedMatrix;
using nash_swarm::Plan;
using support::bits_of;
using support::Row;
using support::rows_of;
using support::serial;

constexpr std::size_t input_width = 64;

const std::vector<std::string> matrix_names = {"q", "k", "v"};

/// Reads a matrix from its file, as often as it is wanted.
Row read(const std::string& name) {
  const std::size_t rows = name == "q" ? 48 : name == "k" ? 16 : 17;
  return support::random_inputs(rows, input_width, rows);
}

InputMoment moment_of_inputs() {
  InputMoment moment("input", input_width);
  moment.add(rows_of(support::random_inputs(100, input_width, 2), input_width), serial);
  return moment;
}

/// A host's threads that would block if a body used them.
struct Unnested {
  nash_swarm::ThreadPool pool{2};
  bool running = false;

  template <class Body>
  void run(std::size_t count, Body&& body) {
    if (running) throw std::logic_error("a run within a run");
    running = true;
    pool.run(count, body);
    running = false;
  }
};

/// Only scalar codes: it is not the search that is tested.
Model model_without_windows() {
  return Model(3, {});
}

nash_swarm::Rules scalar_codes() {
  nash_swarm::Rules rules;
  rules.windows = {};
  return rules;
}

}  // namespace

TEST_CASE("host: weights may be spoilt as soon as they are added, and read again to be packed") {
  const InputMoment moment = moment_of_inputs();
  const auto plan_of = [&](bool streamed) {
    Model model = model_without_windows();
    std::vector<Row> weights;
    for (const std::string& name : matrix_names) {
      weights.push_back(read(name));
      model.add(name, rows_of(weights.back(), input_width), moment, serial);
      if (!streamed) continue;
      weights.back().assign(weights.back().size(), std::numeric_limits<float>::quiet_NaN());
      weights.clear();
    }
    return nash_swarm::allocate(model, Budget::bits(4.0), scalar_codes());
  };
  const Plan kept = plan_of(false);
  const Plan streamed = plan_of(true);
  const Row x = support::random_inputs(1, input_width, 4);
  for (const std::string& name : matrix_names) {
    CHECK(streamed[name].cells == kept[name].cells);
    const Row weights = read(name);
    const auto product = [&](const Plan& plan) {
      return support::multiply(
          nash_swarm::pack(rows_of(weights, input_width), plan[name], moment, serial), x);
    };
    CHECK(bits_of(product(streamed)) == bits_of(product(kept)));
  }
  CHECK(streamed.certificate().bytes == kept.certificate().bytes);
}

TEST_CASE("host: matrices of one input share its basis and its rounded codes") {
  const InputMoment moment = moment_of_inputs();
  Model model = model_without_windows();
  const auto input = model.input_basis("input", input_width);
  for (const std::string& name : matrix_names) {
    model.add(name, rows_of(read(name), input_width), moment, input, serial);
  }
  const Plan plan = nash_swarm::allocate(model, Budget::bits(4.0), scalar_codes());
  CHECK(nash_swarm::distinct_bases(plan.matrices()).size() == 1);
  std::size_t bytes = input->stored_bytes();
  const Row x = support::random_inputs(5, input_width, 4);
  const Activations shared =
      nash_swarm::quantize_activations(*input, rows_of(x, input_width), serial);
  for (const std::string& name : matrix_names) {
    CAPTURE(name);
    const PackedMatrix packed =
        nash_swarm::pack(rows_of(read(name), input_width), plan[name], moment, serial);
    CHECK(packed.shared_basis() == input);
    CHECK(bits_of(support::multiply(packed, shared, 5, serial)) ==
          bits_of(support::multiply(packed, x)));
    bytes += packed.stored_bytes();
  }
  CHECK(plan.certificate().bytes == bytes);
  CHECK(model.input_basis("other", input_width)->fingerprint() != input->fingerprint());
}

TEST_CASE("host: calls on watched threads tell their tasks, and are cancelled without a trace") {
  const InputMoment moment = moment_of_inputs();
  const Row weights = read("q");
  std::size_t told = 0;
  std::size_t most = std::numeric_limits<std::size_t>::max();
  Unnested threads;
  nash_swarm::WatchedExecutor watched(threads,
                                      [&](std::size_t, std::size_t) { return ++told < most; });

  Model model = model_without_windows();
  most = 1;
  CHECK_THROWS_AS(model.add("q", rows_of(weights, input_width), moment, watched),
                  nash_swarm::Cancelled);
  CHECK(model.matrices().empty());
  most = std::numeric_limits<std::size_t>::max();
  model.add("q", rows_of(weights, input_width), moment, watched);

  const Plan plan = nash_swarm::allocate(model, Budget::bits(4.0), scalar_codes());
  const auto pack = [&] {
    told = 0;
    return nash_swarm::pack(rows_of(weights, input_width), plan["q"], moment, watched);
  };
  const PackedMatrix packed = pack();
  const std::size_t tasks = told;
  CHECK(tasks >= 3);  // a panel each, and those of the feedback
  most = tasks / 2;
  CHECK_THROWS_AS(pack(), nash_swarm::Cancelled);
  CHECK(told < tasks);
  most = std::numeric_limits<std::size_t>::max();
  const Row x = support::random_inputs(1, input_width, 4);
  CHECK(bits_of(support::multiply(pack(), x)) == bits_of(support::multiply(packed, x)));
}
