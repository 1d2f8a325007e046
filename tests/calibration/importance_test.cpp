#include <nash_swarm/calibration/importance.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/model/allocate.hpp>

#include "io/support.hpp"
#include "support/gaussian.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::data_free_importance;
using nash_swarm::InputMoment;
using support::gaussian;
using support::Row;
using support::rows_of;
using support::serial;

}  // namespace

TEST_CASE("importance: a weight counts more among large neighbours, by hand") {
  const Row above{1.0f, 0.0f, -3.0f};
  const Row row{2.0f, -0.5f, 0.0f};
  const Row below{0.5f, 1.0f, 1.0f};
  Row importance(3);
  nash_swarm::neighbour_importance(above, row, below, importance);
  CHECK(importance == Row{2.0f * 2.0f * 1.5f * 1.5f, 0.5f * 1.0f * 2.0f * 3.0f * 1.0f, 0.0f});
  nash_swarm::neighbour_importance({}, row, {}, importance);
  CHECK(importance == Row{2.0f * 1.5f, 0.5f * 3.0f * 1.0f, 0.0f});
}

TEST_CASE("importance: of a matrix, the root mean square over its weights") {
  CHECK(data_free_importance(rows_of(Row{2.0f, -0.5f, 1.0f, 0.0f}, 2), serial) ==
        doctest::Approx(std::sqrt((6.0 * 6.0 + 1.5 * 1.5 + 3.0 * 3.0) / 4.0)));
  CHECK(data_free_importance(rows_of(Row{-3.0f}, 1), serial) == 3.0);
  CHECK(data_free_importance(rows_of(Row(20 * 70), 70), serial) == 0.0);
  // Many rows, that several tasks share, and any strides.
  const Row weights = gaussian(150 * 70, 1);
  const auto view = rows_of(weights, 70);
  const double expected = data_free_importance(view, serial);
  nash_swarm::ThreadPool pool(3);
  CHECK(data_free_importance(view, pool) == expected);
  CHECK(data_free_importance(view.transposed(), serial) ==
        doctest::Approx(expected).epsilon(1e-6).scale(0.0));
  double sum = 0.0;
  for (std::size_t row = 0; row < 150; ++row) {
    for (std::size_t k = 0; k < 70; ++k) {
      // Beyond the first row and column indices wrap around to what is beyond the last.
      const auto magnitude = [&](std::size_t r, std::size_t c) {
        return r < 150 && c < 70 ? static_cast<double>(std::abs(view(r, c))) : 0.0;
      };
      const double score = magnitude(row, k) * (1.0 + magnitude(row - 1, k)) *
                           (1.0 + magnitude(row + 1, k)) * (1.0 + magnitude(row, k - 1)) *
                           (1.0 + magnitude(row, k + 1));
      sum += score * score;
    }
  }
  CHECK(expected == doctest::Approx(std::sqrt(sum / (150 * 70))).epsilon(1e-5).scale(0.0));
}

TEST_CASE("importance: huge weights stay finite, NaN is left to be named by the model") {
  Row weights = gaussian(20 * 70, 2);
  for (float& weight : weights) weight = std::copysign(0x1p118f, weight);
  CHECK(std::isfinite(data_free_importance(rows_of(weights, 70), serial)));
  weights[7 * 70 + 3] = std::numeric_limits<float>::quiet_NaN();
  const double importance = data_free_importance(rows_of(weights, 70), serial);
  CHECK(std::isnan(importance));
  nash_swarm::Model model;
  CHECK(nash_swarm::test::message_of([&] {
          model.add("w", rows_of(weights, 70), InputMoment("w", 70), serial, importance);
        }) == "w: NaN at [7, 3]; repair the weights");
}

TEST_CASE("importance: without data the matrix of larger weights gets more of the bytes") {
  const Row large = gaussian(64 * 128, 3);
  Row small = gaussian(64 * 128, 4);
  for (float& weight : small) weight *= 0.1f;
  nash_swarm::Model model(0, {});
  for (const auto& [name, weights] : {std::pair<const char*, const Row&>{"large", large},
                                      std::pair<const char*, const Row&>{"small", small}}) {
    model.add(name, rows_of(weights, 128), InputMoment(name, 128), serial,
              data_free_importance(rows_of(weights, 128), serial));
  }
  nash_swarm::Rules rules;
  rules.windows = {};
  const nash_swarm::Plan plan = nash_swarm::allocate(model, nash_swarm::Budget::bits(4.0), rules);
  CHECK(nash_swarm::planned_bytes({plan["large"]}) >
        3 * nash_swarm::planned_bytes({plan["small"]}) / 2);
}
