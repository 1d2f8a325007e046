#pragma once

#include <cstddef>
#include <vector>

#include "transformer/evaluation.hpp"
#include "transformer/evaluation_text.hpp"

namespace transformer {

/// By how many percent the loss of a model is above that of another on the same texts.
struct LossChange {
  double percent = 0.0;
  double low = 0.0;  ///< ends of the 95 % confidence interval over the texts
  double high = 0.0;
};

/// The losses of a text, summed over the tokens of every window.
struct WindowSums {
  std::vector<double> all;
  std::vector<double> unpadded;  ///< without the padding
};

WindowSums window_sums(const EvaluationText& text, const Evaluation& evaluation);

/// The texts are paired: the interval is the normal one of the mean difference, 1.96 standard
/// errors to both sides, in percent of the mean loss of the reference. It says how much other texts
/// would change the figure, not how much another model or seed would.
/// @param reference, model sums over the same windows; with fewer than two the interval is endless
LossChange loss_change(const std::vector<double>& reference, const std::vector<double>& model);

}  // namespace transformer
