#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "transformer/report.hpp"

namespace transformer {

/// What a method does at one size.
struct RatePoint {
  double bits = 0.0;  ///< all-in bits per weight
  double kld = 0.0;   ///< in nats per token, above 0
  std::string label;
};

/// The points of one method and one size of groups, ascending in bits.
struct RateCurve {
  std::string method;
  std::optional<std::size_t> group;
  std::vector<RatePoint> points;

  /// Such as "gptq, groups of 64".
  std::string name() const;
  bool rival() const { return method != "nash_swarm"; }
};

/// The curves of the rows whose KLD is known and above 0, in the order of their first rows.
std::vector<RateCurve> rate_curves(const std::vector<ReportRow>& rows);

/// The KLD of a curve between its points, linear in its logarithm; none beyond its ends.
std::optional<double> kld_at(const RateCurve& curve, double bits);

/// The rival that loses least at some size.
struct BestRival {
  std::string method;
  std::optional<std::size_t> group;
  double kld = 0.0;
};

/// None if no rival's curve reaches that size.
std::optional<BestRival> best_rival(const std::vector<RateCurve>& curves, double bits);

}  // namespace transformer
