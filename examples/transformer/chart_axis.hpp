#pragma once

#include <string>
#include <vector>

namespace transformer {

/// A mark of an axis; those without a text are minor.
struct Tick {
  double value = 0.0;
  std::string text;
};

/// An axis of a chart: where its values lie, in pixels, and its marks, ascending.
struct Axis {
  double low = 0.0;
  double high = 1.0;
  double begin = 0.0;  ///< pixel of `low`
  double end = 1.0;    ///< pixel of `high`
  bool logarithmic = false;
  std::vector<Tick> ticks;

  double operator()(double value) const;
};

/// From a little below `least` to a little above `most`, with ticks at multiples of ½, 1, 2, …
Axis linear_axis(double least, double most, double begin, double end);

/// From 1, 2 or 5 times a power of ten at or below `least` to one at or above `most`; ticks at all
/// multiples, labelled at the decades, and at 2 and 5 where decades are few.
/// @param least above 0
Axis logarithmic_axis(double least, double most, double begin, double end);

/// Places for labels that want to be at `wanted`, at least `distance` apart and between `low` and
/// `high`, as near to what they want as can be (least squares); closer together if they do not fit.
/// @param wanted ascending
std::vector<double> spread_labels(const std::vector<double>& wanted, double distance, double low,
                                  double high);

}  // namespace transformer
