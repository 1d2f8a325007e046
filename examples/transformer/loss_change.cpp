#include "transformer/loss_change.hpp"

#include <cmath>
#include <limits>

namespace transformer {

WindowSums window_sums(const EvaluationText& text, const Evaluation& evaluation) {
  WindowSums sums;
  for (std::size_t w = 0; w < text.windows.size(); ++w) {
    sums.all.push_back(evaluation.window_losses[w] *
                       static_cast<double>(text.windows[w].inputs.size()));
    sums.unpadded.push_back(sums.all.back() - evaluation.padding_losses[w]);
  }
  return sums;
}

LossChange loss_change(const std::vector<double>& reference, const std::vector<double>& model) {
  const auto count = static_cast<double>(reference.size());
  double loss = 0.0;
  double difference = 0.0;
  for (std::size_t w = 0; w < reference.size(); ++w) {
    loss += reference[w];
    difference += model[w] - reference[w];
  }
  double squares = 0.0;
  for (std::size_t w = 0; w < reference.size(); ++w) {
    const double deviation = model[w] - reference[w] - difference / count;
    squares += deviation * deviation;
  }
  const double error = reference.size() < 2 ? std::numeric_limits<double>::infinity()
                                            : std::sqrt(count * squares / (count - 1.0));
  const double percent = 100.0 * difference / loss;
  const double half = 1.96 * 100.0 * error / loss;
  return {percent, percent - half, percent + half};
}

}  // namespace transformer
