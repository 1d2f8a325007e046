#include <nash_swarm/rounding/panel_feedback.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <nash_swarm/rounding/nearest.hpp>

#include "io/support.hpp"
#include "support/decoding.hpp"
#include "support/gaussian.hpp"
#include "support/moments.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace ns = nash_swarm;
using ns::test::message_of;
using support::gaussian;
using support::Row;
using support::rows_of;

namespace {

constexpr std::size_t in_features = 128;
constexpr std::size_t group_rows = ns::panel_rows;

/// Of groups of rows that other channels matter to.
ns::GradientMoment gradients_of(std::size_t out) {
  constexpr std::size_t tokens = 60;
  ns::GradientMoment gradients("w", out, in_features, group_rows);
  for (unsigned sequence = 0; sequence < 8; ++sequence) {
    const Row x = support::correlated(tokens, in_features, sequence);
    Row dy = gaussian(tokens * out, sequence + 100);
    for (std::size_t i = 0; i < dy.size(); ++i) {
      if (i / out % 2 != i % out / group_rows % 2) dy[i] = 0.0f;  // every other token
    }
    gradients.add(rows_of(x, in_features), rows_of(dy, out), support::serial);
  }
  return gradients;
}

Row decoded(const Row& weights, const ns::PanelFeedback& feedback, const ns::RowOrder& order = {}) {
  const std::size_t out = weights.size() / in_features;
  const auto basis = std::make_shared<const ns::InputBasis>("w.input", in_features, 64, 7);
  const ns::CellMap cells(ns::panel_count(out), ns::block_count(in_features),
                          ns::format_table[ns::format_index("b3_l4")].id);
  return support::decoded(ns::round_matrix("w", rows_of(weights, in_features), basis, cells,
                                           feedback, support::serial, order));
}

}  // namespace

TEST_CASE("panel feedback: a panel has that of its rows, wherever it lies") {
  constexpr std::size_t out = 2 * group_rows;
  const Row weights = gaussian(out * in_features, 3);
  const ns::InputMoment inputs("w", in_features);
  const ns::GradientMoment gradients = gradients_of(out);
  const ns::MatrixCalibration calibration(inputs, gradients);
  const ns::InputBasis basis("w.input", in_features, 64, 7);
  std::vector<std::uint32_t> panels(out, 0);
  for (std::size_t row = 0; row < group_rows; ++row) panels[row] = 1;
  const ns::RowOrder swapped("w", panels);
  const ns::PanelFeedback natural("w", calibration, basis, out, support::serial);
  const Row expected = decoded(weights, natural);
  CHECK(decoded(weights, ns::PanelFeedback("w", calibration, basis, out, support::serial, swapped),
                swapped) == expected);
  // That of the other group would be another one.
  CHECK(decoded(weights, natural, swapped) != expected);
}

TEST_CASE("panel feedback: that of another matrix is refused") {
  const ns::InputMoment inputs("w", in_features);
  const ns::GradientMoment gradients = gradients_of(group_rows);
  const ns::MatrixCalibration calibration(inputs, gradients);
  const ns::InputBasis basis("w.input", in_features, 64, 7);
  CHECK(message_of([&] {
          ns::PanelFeedback("w", calibration, basis, 4 * group_rows, support::serial);
        }) == "w: gradients of 16 rows for a matrix of 64");
  std::vector<std::uint32_t> more(2 * group_rows, 0);
  for (std::size_t row = 0; row < group_rows; ++row) more[row] = 1;
  const ns::RowOrder longer("w", more);
  CHECK(message_of([&] {
          ns::PanelFeedback("w", calibration, basis, group_rows, support::serial, longer);
        }) == "w: an order of 32 rows for a matrix of 16");
  const ns::PanelFeedback small("w", calibration, basis, group_rows, support::serial);
  CHECK(message_of([&] { decoded(gaussian(4 * group_rows * in_features, 3), small); }) ==
        "w: basis, cells, feedback or order do not fit a matrix of shape [64, 128]");
}
