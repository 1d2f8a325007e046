#include <nash_swarm/model/sorted_rows.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nash_swarm/matmul.hpp>
#include <nash_swarm/model/allocate.hpp>
#include <nash_swarm/model/pack.hpp>

#include "io/support.hpp"
#include "support/decoding.hpp"
#include "support/gaussian.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::GradientMoment;
using nash_swarm::InputMoment;
using nash_swarm::MatrixCalibration;
using nash_swarm::RowOrder;
using nash_swarm::test::message_of;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;

/// A matrix of 60 rows, of which every fourth row is a hundred times as long, in groups of 20.
struct UnevenRows {
  static constexpr std::size_t out = 60;
  static constexpr std::size_t in = 256;
  Row weights = gaussian(out * in, 1);
  InputMoment inputs{"w", in};
  GradientMoment gradients{"w", out, in, 20};

  explicit UnevenRows(float length = 100.0f) {
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if (is_long(i / in)) weights[i] *= length;
    }
    inputs.add(rows_of(gaussian(32 * in, 2), in), serial);
    // Gradients of rows are equally long, so that the weights alone decide.
    const Row row = gaussian(in, 3);
    Row gradient;
    for (std::size_t r = 0; r < out; ++r) gradient.insert(gradient.end(), row.begin(), row.end());
    for (int sequence = 0; sequence < 4; ++sequence) add_gradient(gradient);
  }

  void add_gradient(const Row& gradient) {
    gradients.add_gradient(rows_of(gradient, in), 8, serial);
  }

  static bool is_long(std::size_t row) { return row % 4 == 1; }
  MatrixCalibration calibration() const { return {inputs, gradients}; }
  nash_swarm::Model model(std::optional<RowOrder> order = std::nullopt) const {
    nash_swarm::Model model;
    const auto basis = std::make_shared<const nash_swarm::InputBasis>("w.input", in, 64, 1);
    model.add("w", rows_of(weights, in), calibration(), basis, serial, 1.0, order);
    return model;
  }
};

}  // namespace

TEST_CASE("sorted rows: the long rows of a group share its first panels") {
  const UnevenRows rows;
  const nash_swarm::MatrixPayoff payoff = rows.model().matrices()[0].payoff;
  REQUIRE_FALSE(payoff.order.natural());
  int wrong = 0;
  for (std::size_t position = 0; position < UnevenRows::out; ++position) {
    const std::size_t row = payoff.order.row_at(position);
    const std::size_t group = position / 20;
    wrong += row / 20 == group ? 0 : 1;
    // Panels 1 and 2 begin with the short rows that are left of groups 0 and 1, and panel 3 has
    // nothing but those that are left of group 2.
    wrong += UnevenRows::is_long(row) && position / 16 != group ? 1 : 0;
  }
  CHECK(wrong == 0);
  const std::vector<double> energies = nash_swarm::detail::row_energies(
      rows_of(rows.weights, UnevenRows::in), rows.calibration(), UnevenRows::in);
  for (std::size_t p = 0; p < 4; ++p) {
    double sum = 0.0;
    for (std::size_t i = 16 * p; i < std::min<std::size_t>(60, 16 * (p + 1)); ++i) {
      sum += energies[payoff.order.row_at(i)];
    }
    CHECK(payoff.panel_energy[p] == doctest::Approx(sum).epsilon(1e-12));
  }
}

TEST_CASE("sorted rows: no order where rows are alike, or nothing is known of them") {
  CHECK(UnevenRows(1.0f).model().matrices()[0].payoff.order.natural());
  const UnevenRows rows;
  nash_swarm::Model model;
  model.add("w", rows_of(rows.weights, UnevenRows::in), rows.inputs, serial);
  CHECK(model.matrices()[0].payoff.order.natural());
  CHECK(rows.model(RowOrder()).matrices()[0].payoff.order.natural());
  const Row nothing(UnevenRows::out, 0.0f);
  const std::vector<double> zeros(UnevenRows::out, 0.0);
  CHECK(nash_swarm::detail::sorted_rows("w", zeros, rows.calibration(), 64).natural());
}

TEST_CASE("sorted rows: what the sequences do not agree on is no reason for an order") {
  const auto order = [](bool agree) {
    UnevenRows rows(1.0f);
    rows.gradients = GradientMoment("w", UnevenRows::out, UnevenRows::in, 20);
    for (std::size_t sequence = 0; sequence < 4; ++sequence) {
      Row gradient(UnevenRows::out * UnevenRows::in, 1.0f);
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        const std::size_t row = i / UnevenRows::in;
        if (row % 4 == (agree ? 1 : sequence % 2)) gradient[i] = 100.0f;
      }
      rows.add_gradient(gradient);
    }
    return rows.model().matrices()[0].payoff.order;
  };
  CHECK_FALSE(order(true).natural());
  CHECK(order(false).natural());
  // One sequence has nobody who could agree.
  UnevenRows once;
  once.gradients = GradientMoment("w", UnevenRows::out, UnevenRows::in, 20);
  once.add_gradient(Row(UnevenRows::out * UnevenRows::in, 1.0f));
  CHECK(once.model().matrices()[0].payoff.order.natural());
}

TEST_CASE("sorted rows: an order is kept if it saves more bits than it takes") {
  // Two panels; half of the rows matter more, mixed or in panels of their own. An order takes 32
  // bits, and saves log2((1 + ratio) / 2 / sqrt(ratio)) for each weight of a panel.
  const InputMoment nothing("w", 64);
  const auto order = [&](double ratio, bool mixed, std::size_t channels) {
    std::vector<double> energies(32, 1.0);
    for (std::size_t r = 0; r < 32; ++r) {
      if (mixed ? r % 2 == 0 : r >= 16) energies[r] = ratio;
    }
    return nash_swarm::detail::sorted_rows("w", energies, nothing, channels);
  };
  CHECK_FALSE(order(4.0, true, 64).natural());
  CHECK(order(4.0, false, 64).natural());
  CHECK(order(1.22, true, 192).natural());  // 22 bits, below 58
  CHECK_FALSE(order(1.22, true, 512).natural());
}

TEST_CASE("sorted rows: plans know the bytes of the order, and packed rows are where they were") {
  const UnevenRows rows;
  const nash_swarm::Model model = rows.model();
  const nash_swarm::Budget budget = nash_swarm::Budget::bits(3.5);
  const nash_swarm::Plan plan = nash_swarm::allocate(model, budget);
  CHECK(plan["w"].order == model.matrices()[0].payoff.order);
  const auto view = rows_of(rows.weights, UnevenRows::in);
  const nash_swarm::PackedMatrix packed =
      nash_swarm::pack(view, plan["w"], rows.calibration(), serial);
  CHECK(packed.row_order() == plan["w"].order);
  CHECK(packed.stored_bytes() + plan["w"].basis->stored_bytes() == plan.certificate().bytes);
  CHECK(nash_swarm::planned_bytes(plan.matrices()) == plan.certificate().bytes);
  const Row decoded = support::decoded(packed);
  for (std::size_t row = 0; row < UnevenRows::out; ++row) {
    double error = 0.0;
    double length = 0.0;
    for (std::size_t i = row * UnevenRows::in; i < (row + 1) * UnevenRows::in; ++i) {
      error += std::pow(static_cast<double>(decoded[i] - rows.weights[i]), 2);
      length += std::pow(static_cast<double>(rows.weights[i]), 2);
    }
    CHECK(error < (UnevenRows::is_long(row) ? 0.2 : 1.01) * length);
  }
  // Long rows in few panels: the same bytes lose less.
  const nash_swarm::Plan natural = nash_swarm::allocate(rows.model(RowOrder()), budget);
  CHECK(plan.predicted_loss() < 0.5 * natural.predicted_loss());
}

TEST_CASE("sorted rows: an order that does not fit the matrix or the model is refused") {
  const UnevenRows rows;
  const nash_swarm::Model model = rows.model();
  std::vector<nash_swarm::MatrixPlan> plans =
      nash_swarm::allocate(model, nash_swarm::Budget::bits(3.0)).matrices();
  plans[0].order = support::random_row_order(UnevenRows::out, 1);
  CHECK(message_of([&] {
          nash_swarm::certify(model, plans, 100000, 0.0);
        }).starts_with("w: its rows are in another order"));
  CHECK(message_of([&] {
          rows.model(support::random_row_order(40, 1));
        }).starts_with("w: an order of 40 rows for a matrix of 60"));
}
