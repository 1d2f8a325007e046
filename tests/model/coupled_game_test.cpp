#include <nash_swarm/model/coupled_game.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <nash_swarm/model/allocate.hpp>

#include "io/support.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::Budget;
using nash_swarm::InputMoment;
using nash_swarm::MatrixPlan;
using nash_swarm::MeasuredHeadings;
using nash_swarm::Model;
using nash_swarm::Plan;
using nash_swarm::test::message_of;
using support::rows_of;
using support::serial;

/// Four matrices of 48 × 128: the first three are wholly coherent and point nearly the same way,
/// the last one disturbs nobody.
Model coupled_model() {
  Model model;
  unsigned seed = 7;
  for (const std::string name : {"a", "b", "c", "d"}) {
    model.add(name, rows_of(support::random_inputs(48, 128, ++seed), 128), InputMoment(name, 128),
              serial);
  }
  const double slant = 0.1;
  const double rest = std::sqrt(1.0 - slant * slant);
  model.couple({2, {1.0, 0.0, rest, slant, rest, -slant, 1.0, 0.0}, {0.9, 0.9, 0.9, 0.0}});
  return model;
}

/// F of the cells of a plan, from the losses of cells and the headings alone.
double loss_of(const Model& model, const std::vector<MatrixPlan>& plans) {
  const MeasuredHeadings& headings = model.headings();
  std::vector<double> y(headings.dimension);
  double sum = 0.0;
  for (std::size_t m = 0; m < plans.size(); ++m) {
    double own = 0.0;
    for (std::size_t p = 0; p < plans[m].cells.panels(); ++p) {
      for (std::size_t b = 0; b < plans[m].cells.blocks(); ++b) {
        own += model.matrices()[m].payoff.cell_loss(p, b,
                                                    nash_swarm::format_index(plans[m].cells(p, b)));
      }
    }
    sum += (1.0 - headings.coherent[m]) * own;
    for (std::size_t k = 0; k < y.size(); ++k) {
      y[k] += headings.direction[m * y.size() + k] * std::sqrt(2.0 * headings.coherent[m] * own);
    }
  }
  for (const double value : y) sum += 0.5 * value * value;
  return sum;
}

}  // namespace

TEST_CASE(
    "coupled game: matrices are the players, and what is certified is the loss of the cells") {
  const Model model = coupled_model();
  for (const double bits : {2.0, 3.0, 4.2}) {
    CAPTURE(bits);
    const Plan plan = nash_swarm::allocate(model, Budget::bits(bits));
    const nash_swarm::Certificate& certificate = plan.certificate();
    CHECK(certificate.players == 4);
    CHECK(certificate.y.size() == 2);
    CHECK(certificate.epsilon == 0.0);
    CHECK(certificate.bytes == nash_swarm::planned_bytes(plan.matrices()));
    CHECK(certificate.bytes <= certificate.budget);
    CHECK(certificate.loss == doctest::Approx(loss_of(model, plan.matrices())).epsilon(1e-12));
    CHECK(certificate.lower_bound > 0.0);
    CHECK(certificate.lower_bound <= certificate.loss);
    CHECK(plan.predicted_loss() == certificate.loss);
  }
}

TEST_CASE("coupled game: plans are better than those that know of no coupling") {
  const Model model = coupled_model();
  Model separable = model;
  separable.couple({0, {}, std::vector<double>(4)});
  CHECK_FALSE(separable.coupled());
  const Budget budget = Budget::bits(3.0);
  const Plan coupled = nash_swarm::allocate(model, budget);
  const Plan plain = nash_swarm::allocate(separable, budget);
  CHECK(plain.certificate().players == 3 * 2 * 4);
  CHECK(plain.certificate().y.empty());
  // Three that are hit by one another get bytes that the fourth can spare.
  CHECK(coupled.predicted_loss() < 0.99 * loss_of(model, plain.matrices()));
  CHECK(nash_swarm::stored_bytes(48, coupled["d"].cells) <
        nash_swarm::stored_bytes(48, plain["d"].cells));
}

TEST_CASE("coupled game: cells that somebody else has chosen are certified, or refused") {
  const Model model = coupled_model();
  const Plan plan = nash_swarm::allocate(model, Budget::bits(3.0));
  const nash_swarm::Certificate& certificate = plan.certificate();
  const auto certified = [&](std::vector<MatrixPlan> plans) {
    return nash_swarm::certify(model, std::move(plans), certificate.budget, certificate.price, {},
                               certificate.y);
  };
  CHECK(certified(plan.matrices()).certificate() == certificate);
  std::vector<MatrixPlan> worse = plan.matrices();
  worse[1].cells(0, 0) = nash_swarm::FormatId{0};
  const nash_swarm::Certificate found = certified(worse).certificate();
  CHECK(found.epsilon > 0.0);
  CHECK(found.loss == doctest::Approx(loss_of(model, worse)).epsilon(1e-12));
  CHECK(found.bytes == nash_swarm::planned_bytes(worse));
  // Without y the bound is proved by the headings of the cells themselves.
  CHECK(nash_swarm::certify(model, plan.matrices(), certificate.budget, certificate.price)
            .certificate()
            .lower_bound > 0.0);
  std::vector<MatrixPlan> larger = plan.matrices();
  larger[1].cells = nash_swarm::CellMap(3, 2, nash_swarm::FormatId{16});
  CHECK(message_of([&] { certified(larger); }).find("more than the budget") != std::string::npos);
}

TEST_CASE("coupled game: headings that do not fit and budgets of time are refused") {
  Model model = coupled_model();
  CHECK(message_of([&] { model.couple({1, {1.0}, {0.5}}); }).starts_with("headings: "));
  nash_swarm::Rules rules;
  rules.time = {std::vector<std::uint64_t>(nash_swarm::format_count, 1), 1000};
  CHECK(message_of([&] {
          nash_swarm::allocate(model, Budget::bits(3.0), rules);
        }).starts_with("time: matrices that disturb each other"));
  model.add("e", rows_of(support::random_inputs(48, 128, 3), 128), InputMoment("e", 128), serial);
  CHECK(message_of([&] {
          nash_swarm::allocate(model, Budget::bits(3.0));
        }).starts_with("headings: they do not fit 5 matrices"));
}
