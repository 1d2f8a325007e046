#include <nash_swarm/rounding/error_spread.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <vector>

#include "support/gaussian.hpp"

namespace ns = nash_swarm;
using ns::detail::PanelColumn;

namespace {

std::vector<PanelColumn> random_columns(std::size_t count, unsigned seed) {
  const std::vector<float> samples = support::gaussian(count * ns::panel_rows, seed);
  std::vector<PanelColumn> columns(count);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    columns[i / ns::panel_rows][i % ns::panel_rows] = samples[i];
  }
  return columns;
}

}  // namespace

TEST_CASE("error spread: every instruction set adds the shares, and nothing beyond the targets") {
  constexpr std::size_t stride = 90;
  const std::vector<float> shares = support::gaussian(64 * stride, 1);
  for (const auto& entry : ns::instruction_sets) {
    if (!ns::is_supported(entry.set)) continue;
    CAPTURE(entry.name);
    for (const std::size_t columns : {0u, 1u, 8u, 64u}) {
      for (const std::size_t targets : {0u, 1u, 7u, 16u, 63u, 89u}) {
        CAPTURE(columns);
        CAPTURE(targets);
        const std::vector<PanelColumn> errors = random_columns(64, 2);
        const std::vector<PanelColumn> before = random_columns(stride, 3);
        std::vector<PanelColumn> after = before;
        ns::detail::spread_function_for(entry.set)(
            {shares.data(), stride, errors.data(), columns, after.data(), targets});
        double worst = 0.0;
        for (std::size_t j = 0; j < stride; ++j) {
          for (std::size_t row = 0; row < ns::panel_rows; ++row) {
            double expected = static_cast<double>(before[j][row]);
            for (std::size_t k = 0; j < targets && k < columns; ++k) {
              expected +=
                  static_cast<double>(shares[k * stride + j]) * static_cast<double>(errors[k][row]);
            }
            worst = std::fmax(worst, std::fabs(static_cast<double>(after[j][row]) - expected));
          }
        }
        CHECK(worst < 2e-5);
      }
    }
  }
}
