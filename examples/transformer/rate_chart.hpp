#pragma once

#include <string>
#include <vector>

#include "transformer/rate_curves.hpp"

namespace transformer {

/// A chart of curves as SVG: KLD on a logarithmic axis over all-in bits per weight, ours as a thick
/// line and rivals as thin ones, dashed where groups are of 128 or more. Every curve has its name
/// in the right margin, level with its end and joined to it.
/// @throws nash_swarm::Error if there is no point
std::string rate_chart(const std::vector<RateCurve>& curves, const std::string& title);

/// The chart of all rows of a report whose KLD is known.
std::string rate_chart(const Report& report);

}  // namespace transformer
