#include "transformer/chart_axis.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>

namespace transformer {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// Ten to a power is not exact.
constexpr double slack = 1e-9;

double decade_of(double value) {
  return std::pow(10.0, std::floor(std::log10(value) + slack));
}

/// The largest of 1, 2 and 5 times powers of ten that is at most `value`.
double rounded_down(double value) {
  const double decade = decade_of(value);
  for (const double factor : {5.0, 2.0}) {
    if (factor * decade <= value * (1.0 + slack)) return factor * decade;
  }
  return decade;
}

/// The smallest of them that is at least `value`.
double rounded_up(double value) {
  const double decade = decade_of(value);
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * decade >= value * (1.0 - slack)) return factor * decade;
  }
  return 10.0 * decade;
}

}  // namespace

double Axis::operator()(double value) const {
  const double share =
      logarithmic ? std::log(value / low) / std::log(high / low) : (value - low) / (high - low);
  return begin + share * (end - begin);
}

Axis linear_axis(double least, double most, double begin, double end) {
  constexpr double most_ticks = 10.0;
  double step = 0.5;
  while (most - least > most_ticks * step) step *= 2.0;
  const double first = std::floor(least / step);
  const double last = std::max(first + 1.0, std::ceil(most / step));
  Axis axis{(first - 0.2) * step, (last + 0.2) * step, begin, end, false, {}};
  for (double i = first; i <= last; i += 1.0) axis.ticks.push_back({i * step, number(i * step)});
  return axis;
}

Axis logarithmic_axis(double least, double most, double begin, double end) {
  const double low = rounded_down(least);
  double high = rounded_up(most);
  if (high <= low) high = 10.0 * low;
  Axis axis{low, high, begin, end, true, {}};
  const bool few = high / low < 101.0;
  for (double decade = decade_of(low); decade <= high * (1.0 + slack); decade *= 10.0) {
    for (int factor = 1; factor < 10; ++factor) {
      const double value = factor * decade;
      if (value < low * (1.0 - slack) || value > high * (1.0 + slack)) continue;
      const bool labelled = factor == 1 || (few && (factor == 2 || factor == 5));
      axis.ticks.push_back({value, labelled ? number(value) : ""});
    }
  }
  return axis;
}

std::vector<double> spread_labels(const std::vector<double>& wanted, double distance, double low,
                                  double high) {
  const auto gaps = static_cast<double>(std::max<std::size_t>(wanted.size(), 2) - 1);
  distance = std::min(distance, (high - low) / gaps);
  // What each wants less its distance to the first must ascend: isotonic regression by pooling
  // adjacent violators.
  struct Pool {
    double sum;
    double count;
    double mean() const { return sum / count; }
  };
  std::vector<Pool> pools;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    pools.push_back({wanted[i] - static_cast<double>(i) * distance, 1.0});
    while (pools.size() > 1 && pools[pools.size() - 2].mean() > pools.back().mean()) {
      const Pool last = pools.back();
      pools.pop_back();
      pools.back().sum += last.sum;
      pools.back().count += last.count;
    }
  }
  std::vector<double> places;
  const double highest =
      high - static_cast<double>(std::max<std::size_t>(wanted.size(), 1) - 1) * distance;
  for (const Pool& pool : pools) {
    for (double i = 0.0; i < pool.count; i += 1.0) {
      const double base = std::clamp(pool.mean(), low, highest);
      places.push_back(base + static_cast<double>(places.size()) * distance);
    }
  }
  return places;
}

}  // namespace transformer
