#include "transformer/evaluation.hpp"

#include <algorithm>
#include <cstdint>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <numeric>
#include <string>

#include "transformer/float_matrix.hpp"
#include "transformer/loss.hpp"
#include "transformer/seconds.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

constexpr std::size_t batch_tokens = 2048;

void check_text(const EvaluationText& text) {
  if (text.windows.empty()) throw Error(text.file, "there is no token to score");
  for (const Window& window : text.windows) {
    if (window.inputs.empty() || window.inputs.size() != window.targets.size()) {
      throw Error(text.file, "a window of " + std::to_string(window.inputs.size()) +
                                 " tokens has " + std::to_string(window.targets.size()) +
                                 " targets");
    }
  }
}

/// The first of `windows` that are equally long, at most a batch of them.
std::span<const Window> next_batch(std::span<const Window> windows) {
  const std::size_t length = windows.front().inputs.size();
  const std::size_t most = std::max<std::size_t>(1, batch_tokens / length);
  std::size_t count = 1;
  while (count < std::min(most, windows.size()) && windows[count].inputs.size() == length) ++count;
  return windows.first(count);
}

/// The tokens of all windows, one after the other.
std::vector<std::int32_t> joined(std::span<const Window> windows,
                                 std::vector<std::int32_t> Window::*part) {
  std::vector<std::int32_t> tokens;
  for (const Window& window : windows) {
    tokens.insert(tokens.end(), (window.*part).begin(), (window.*part).end());
  }
  return tokens;
}

template <class T>
double sum(std::span<const T> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// Adds the scores of a batch of windows to what is, until `divide`, a sum over
/// tokens.
void add(const TokenScores& scores, std::span<const Window> windows, Evaluation& evaluation) {
  std::span<const double> losses = scores.losses;
  for (const Window& window : windows) {
    const std::size_t length = window.inputs.size();
    const double window_loss = sum(losses.first(length));
    evaluation.loss += window_loss;
    evaluation.window_losses.push_back(window_loss / static_cast<double>(length));
    evaluation.padding_losses.push_back(sum(losses.first(length).last(window.padding)));
    losses = losses.subspan(length);
  }
  if (evaluation.kld) *evaluation.kld += sum(std::span(scores.divergences));
  if (evaluation.top1_agreement) *evaluation.top1_agreement += sum(std::span(scores.agreements));
  evaluation.seconds += scores.seconds;
}

void divide(Evaluation& evaluation, double tokens) {
  evaluation.loss /= tokens;
  if (evaluation.kld) *evaluation.kld /= tokens;
  if (evaluation.top1_agreement) *evaluation.top1_agreement /= tokens;
}

}  // namespace

std::vector<Evaluation> evaluate(std::span<const Model* const> models, bool first_is_reference,
                                 const EvaluationText& text, ThreadPool& pool,
                                 const EvaluationObserver& observer) {
  check_text(text);
  std::vector<Evaluation> evaluations(models.size());
  if (first_is_reference) {
    for (Evaluation& evaluation : evaluations) evaluation.kld = evaluation.top1_agreement = 0.0;
  }
  std::size_t scored = 0;
  std::span<const Window> left = text.windows;
  while (!left.empty()) {
    const std::span<const Window> batch = next_batch(left);
    left = left.subspan(batch.size());
    const std::vector<std::int32_t> inputs = joined(batch, &Window::inputs);
    std::vector<FloatMatrix> states;
    for (std::size_t m = 0; m < models.size(); ++m) {
      const auto start = Clock::now();
      states.push_back(hidden_states(*models[m], inputs, batch.size(), pool));
      evaluations[m].seconds += seconds_since(start);
      if (observer) observer(inputs.size());
    }
    std::vector<TensorView<const float, 2>> hidden;
    for (const FloatMatrix& matrix : states) hidden.push_back(matrix.view());
    const std::vector<TokenScores> scores =
        score_tokens(models, hidden, joined(batch, &Window::targets), first_is_reference, pool);
    for (std::size_t m = 0; m < models.size(); ++m) {
      add(scores[m], batch, evaluations[m]);
    }
    scored += inputs.size();
  }
  for (Evaluation& evaluation : evaluations) divide(evaluation, static_cast<double>(scored));
  return evaluations;
}

std::vector<std::vector<Evaluation>> evaluate_texts(std::span<const Model* const> models,
                                                    bool first_is_reference,
                                                    std::span<const EvaluationText> texts,
                                                    ThreadPool& pool, Progress& progress) {
  std::size_t tokens = 0;
  for (const EvaluationText& text : texts) tokens += text.scored_tokens;
  progress.stage("evaluating", models.size() * tokens);
  std::vector<std::vector<Evaluation>> evaluations;
  for (const EvaluationText& text : texts) {
    evaluations.push_back(evaluate(models, first_is_reference, text, pool,
                                   [&](std::size_t done) { progress.advance(done); }));
  }
  progress.finish();
  return evaluations;
}

}  // namespace transformer
