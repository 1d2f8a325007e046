#include "gpt2/lone_losses.hpp"

#include <algorithm>
#include <memory>
#include <utility>

#include "gpt2/decoded_matrix.hpp"
#include "gpt2/evaluation.hpp"
#include "gpt2/model.hpp"

namespace gpt2 {
namespace {

EvaluationText text_of(std::span<const std::int32_t> tokens, std::size_t context) {
  EvaluationText text;
  for (std::size_t begin = 0; begin + context <= tokens.size(); begin += context) {
    const auto window = tokens.subspan(begin, context);
    text.windows.push_back(
        {{window.begin(), window.end() - 1}, {window.begin() + 1, window.end()}});
    text.scored_tokens += context - 1;
  }
  return text;
}

}  // namespace

std::vector<double> lone_losses(
    const Checkpoint& checkpoint, std::span<const nash_swarm::MatrixPlan> matrices,
    std::span<const std::int32_t> tokens, std::size_t window, nash_swarm::ThreadPool& pool,
    const std::function<nash_swarm::PackedMatrix(const nash_swarm::MatrixPlan&)>& pack) {
  const EvaluationText text = text_of(tokens, window);
  const Model reference = make_float_model(checkpoint, false);
  std::vector<double> losses;
  for (std::size_t first = 0; first < matrices.size(); first += matrices_at_once) {
    std::vector<Model> models;
    std::vector<const Model*> views{&reference};
    const auto part = matrices.subspan(first, std::min(matrices_at_once, matrices.size() - first));
    for (const nash_swarm::MatrixPlan& matrix : part) {
      const auto decoded =
          std::make_shared<const DecodedMatrix>(checkpoint.matrix(matrix.name), pack(matrix), pool);
      models.push_back(make_float_model(checkpoint, false,
                                        [&](const std::shared_ptr<const WeightSource>& original)
                                            -> std::shared_ptr<const WeightSource> {
                                          if (original->name() == matrix.name) return decoded;
                                          return original;
                                        }));
    }
    for (const Model& model : models) views.push_back(&model);
    const std::vector<Evaluation> evaluations = evaluate(views, true, text, pool);
    for (std::size_t i = 1; i < evaluations.size(); ++i) {
      losses.push_back(evaluations[i].kld.value());
    }
  }
  return losses;
}

}  // namespace gpt2
