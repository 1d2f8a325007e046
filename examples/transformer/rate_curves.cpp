#include "transformer/rate_curves.hpp"

#include <algorithm>
#include <cmath>

namespace transformer {

std::string RateCurve::name() const {
  return group ? method + ", groups of " + std::to_string(*group) : method;
}

std::vector<RateCurve> rate_curves(const std::vector<ReportRow>& rows) {
  std::vector<RateCurve> curves;
  for (const ReportRow& row : rows) {
    const double kld = row.evaluation() ? row.evaluation()->kld.value_or(0.0) : 0.0;
    if (!(kld > 0.0)) continue;
    auto curve = std::find_if(curves.begin(), curves.end(), [&](const RateCurve& known) {
      return known.method == row.method && known.group == row.group;
    });
    if (curve == curves.end()) {
      curves.push_back({row.method, row.group, {}});
      curve = curves.end() - 1;
    }
    curve->points.push_back({row.bits_per_weight(), kld, row.label});
  }
  for (RateCurve& curve : curves) {
    std::stable_sort(curve.points.begin(), curve.points.end(),
                     [](const RatePoint& a, const RatePoint& b) { return a.bits < b.bits; });
  }
  return curves;
}

std::optional<double> kld_at(const RateCurve& curve, double bits) {
  const auto right = std::find_if(curve.points.begin(), curve.points.end(),
                                  [bits](const RatePoint& point) { return point.bits >= bits; });
  if (right == curve.points.end()) return std::nullopt;
  if (right->bits == bits) return right->kld;
  if (right == curve.points.begin()) return std::nullopt;
  const auto left = right - 1;
  const double share = (bits - left->bits) / (right->bits - left->bits);
  return std::exp((1.0 - share) * std::log(left->kld) + share * std::log(right->kld));
}

std::optional<BestRival> best_rival(const std::vector<RateCurve>& curves, double bits) {
  std::optional<BestRival> best;
  for (const RateCurve& curve : curves) {
    const std::optional<double> kld = curve.rival() ? kld_at(curve, bits) : std::nullopt;
    if (kld && (!best || *kld < best->kld)) best = {curve.method, curve.group, *kld};
  }
  return best;
}

}  // namespace transformer
