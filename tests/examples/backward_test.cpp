#include "transformer/backward.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "examples/tiny_model.hpp"
#include "io/support.hpp"
#include "support/gaussian.hpp"
#include "transformer/attention.hpp"
#include "transformer/baseline_source.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/loss.hpp"
#include "transformer/packed.hpp"

namespace {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using nash_swarm::test::tiny_checkpoint;
using transformer::FloatMatrix;
using transformer::Model;
using Tokens = std::vector<std::int32_t>;

const Tokens two_sequences = {5, 900, 17, 17, 3, 1023, 0, 88, 412, 900, 5, 5, 64, 31, 7, 2};
const Tokens labels = {900, 17, 17, 3, 1023, 0, 88, 412, 900, 5, 5, 64, 31, 7, 2, 6};

/// A matrix with one of its weights moved.
class MovedMatrix : public transformer::DerivedWeightSource {
 public:
  MovedMatrix(std::shared_ptr<const transformer::WeightSource> original, std::size_t row,
              std::size_t column, float step)
      : DerivedWeightSource(original),
        original_(original),
        row_(row),
        column_(column),
        step_(step) {}

  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    original_->read_rows(begin, rows);
    if (row_ >= begin && row_ < begin + rows.extent(0)) rows(row_ - begin, column_) += step_;
  }

 private:
  std::shared_ptr<const transformer::WeightSource> original_;
  std::size_t row_;
  std::size_t column_;
  float step_;
};

/// The summed loss of the labels with one weight moved.
double loss_with(const transformer::Checkpoint& checkpoint, const std::string& matrix,
                 std::size_t row, std::size_t column, float step, ThreadPool& pool) {
  const Model model = transformer::make_float_model(
      checkpoint, false,
      [&](const std::shared_ptr<const transformer::WeightSource>& original)
          -> std::shared_ptr<const transformer::WeightSource> {
        if (original->name() != matrix) return original;
        return std::make_shared<MovedMatrix>(original, row, column, step);
      });
  const FloatMatrix hidden = transformer::hidden_states(model, two_sequences, 1, pool);
  const std::vector<double> losses = transformer::token_losses(model, hidden.view(), labels, pool);
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

/// The gradient of every matrix, [out, in].
std::map<std::string, FloatMatrix> gradients(
    const transformer::LogitGradient& logit_gradient, ThreadPool& pool,
    const transformer::Checkpoint& checkpoint = tiny_checkpoint()) {
  std::map<std::string, FloatMatrix> result;
  transformer::GradientObserver observer;
  observer.matrix = [&](const std::string& name, TensorView<const float, 2> x,
                        TensorView<const float, 2> dy) {
    FloatMatrix gradient(dy.extent(1), x.extent(1));
    for (std::size_t t = 0; t < x.extent(0); ++t) {
      for (std::size_t row = 0; row < gradient.rows(); ++row) {
        for (std::size_t k = 0; k < gradient.columns(); ++k) {
          gradient.view()(row, k) += dy(t, row) * x(t, k);
        }
      }
    }
    result.emplace(name, std::move(gradient));
  };
  observer.vocabulary_matrix = [&](const std::string& name, TensorView<const float, 2>,
                                   TensorView<const float, 2> dw) {
    FloatMatrix gradient(dw.extent(0), dw.extent(1));
    std::copy_n(dw.data(), dw.size(), gradient.view().data());
    result.emplace(name, std::move(gradient));
  };
  const Model model = transformer::make_float_model(checkpoint, false);
  transformer::run_backward(model, two_sequences, logit_gradient, pool, observer);
  return result;
}

/// Norms and biases of a model, by name.
std::map<std::string, std::span<float>> vectors_of(Model& model) {
  std::map<std::string, std::span<float>> vectors;
  transformer::for_each_vector(model, [&](const std::string& name, std::span<float> values) {
    vectors.emplace(name, values);
  });
  return vectors;
}

/// The divergence from the tiny model, summed over the tokens of two sequences.
double divergence(const Model& teacher, const Model& model, ThreadPool& pool) {
  const Model* const models[] = {&teacher, &model};
  const FloatMatrix states[] = {transformer::hidden_states(teacher, two_sequences, 2, pool),
                                transformer::hidden_states(model, two_sequences, 2, pool)};
  const TensorView<const float, 2> hidden[] = {states[0].view(), states[1].view()};
  const std::vector<double> divergences =
      transformer::score_tokens(models, hidden, labels, true, pool)[1].divergences;
  return std::accumulate(divergences.begin(), divergences.end(), 0.0);
}

/// Where a weight's step takes a ReLU over its kink, the slope of the loss changes within the step.
double tolerance_of(const std::string& family) {
  return family == "opt" ? 0.04 : 0.02;
}

void check_vector_gradients(const std::string& family) {
  CAPTURE(family);
  ThreadPool pool(2);
  const transformer::Checkpoint& checkpoint = tiny_checkpoint(family);
  const Model teacher = transformer::make_float_model(checkpoint, false);
  const FloatMatrix hidden = transformer::hidden_states(teacher, two_sequences, 2, pool);
  Model model = transformer::make_float_model(checkpoint, false);
  const std::map<std::string, std::span<float>> vectors = vectors_of(model);
  std::mt19937_64 engine(5);
  for (float& weight : vectors.at(model.layers[0].attention_norm.name + ".weight")) {
    weight *= 1.0f + 0.5f * static_cast<float>(engine() % 100) / 100.0f;
  }
  std::map<std::string, std::vector<float>> found;
  transformer::GradientObserver observer;
  observer.output = [&](const std::string& name, TensorView<const float, 2> y,
                        TensorView<const float, 2> dy) {
    CHECK(y.extent(0) == dy.extent(0));
    if (!vectors.contains(name + ".bias")) return;
    std::vector<float>& gradient = found[name + ".bias"];
    gradient.resize(dy.extent(1));
    for (std::size_t t = 0; t < dy.extent(0); ++t) {
      for (std::size_t row = 0; row < dy.extent(1); ++row) gradient[row] += dy(t, row);
    }
  };
  observer.norm = [&](const std::string& name, std::span<const float> dweight,
                      std::span<const float> dbias) {
    found[name + ".weight"].assign(dweight.begin(), dweight.end());
    if (!dbias.empty()) found[name + ".bias"].assign(dbias.begin(), dbias.end());
  };
  transformer::run_backward(
      model, two_sequences,
      transformer::gradient_of_divergence(*teacher.token_embedding, hidden.view(), pool), pool,
      observer, 2);
  REQUIRE(found.size() == vectors.size());
  for (const auto& [name, gradient] : found) {
    const std::string& tensor = name;  // a binding cannot be captured
    CAPTURE(tensor);
    const std::span<float> values = vectors.at(name);
    REQUIRE(gradient.size() == values.size());
    double difference = 0.0;
    double size = 0.0;
    for (int sample = 0; sample < 12; ++sample) {
      const std::size_t index = engine() % values.size();
      const float value = values[index];
      constexpr float step = 0.005f;
      values[index] = value + step;
      double measured = divergence(teacher, model, pool);
      values[index] = value - step;
      measured = (measured - divergence(teacher, model, pool)) / (2.0 * static_cast<double>(step));
      values[index] = value;
      const double computed = static_cast<double>(gradient[index]);
      difference += (measured - computed) * (measured - computed);
      size += measured * measured;
    }
    CHECK(size > 0.0);
    // The bias of keys moves all scores of a query alike, so that its true gradient is 0.
    CHECK(std::sqrt(difference) < tolerance_of(family) * std::sqrt(size) + 1e-6);
  }
}

void check_matrix_gradients(const std::string& family) {
  CAPTURE(family);
  ThreadPool pool(2);
  const transformer::Checkpoint& checkpoint = tiny_checkpoint(family);
  const auto found = gradients(transformer::gradient_of_labels(labels), pool, checkpoint);
  std::mt19937_64 engine(3);
  REQUIRE(found.size() == checkpoint.matrices().size());
  for (const transformer::MatrixShape& matrix : checkpoint.shapes()) {
    CAPTURE(matrix.name);
    const FloatMatrix& gradient = found.at(matrix.name);
    REQUIRE(gradient.rows() == matrix.out);
    double difference = 0.0;
    double size = 0.0;
    for (int sample = 0; sample < 12; ++sample) {
      // Rows of the embedding that occur in the text, so that both its roles count.
      const bool looked_up = matrix.role == transformer::MatrixRole::embedding ||
                             matrix.role == transformer::MatrixRole::tied_embedding;
      const std::size_t row =
          looked_up ? static_cast<std::size_t>(two_sequences[engine() % two_sequences.size()])
                    : engine() % gradient.rows();
      const std::size_t column = engine() % gradient.columns();
      const float step = family == "opt" ? 0.001f : 0.004f;
      const double measured = (loss_with(checkpoint, matrix.name, row, column, step, pool) -
                               loss_with(checkpoint, matrix.name, row, column, -step, pool)) /
                              (2.0 * static_cast<double>(step));
      const double computed = static_cast<double>(gradient.view()(row, column));
      difference += (measured - computed) * (measured - computed);
      size += measured * measured;
    }
    CHECK(size > 0.0);
    CHECK(std::sqrt(difference) < tolerance_of(family) * std::sqrt(size));
  }
}

}  // namespace

TEST_CASE("backward: gradients of biases and norms are the finite differences of the divergence") {
  for (const char* const family : {"gpt2", "llama", "opt"}) check_vector_gradients(family);
}

TEST_CASE("backward: gradients are the finite differences of the loss") {
  for (const char* const family : {"gpt2", "llama", "opt"}) check_matrix_gradients(family);
}

TEST_CASE("backward: labels are drawn from the predictions") {
  // On average over draws the gradient by the logits is 0, and its variance p(1 - p).
  std::mt19937_64 engine(1);
  ThreadPool pool(1);
  const transformer::LogitGradient gradient = transformer::gradient_of_drawn_labels(engine, pool);
  const std::vector<float> logits = {1.0f, 0.0f, -1.0f};
  const double probabilities[] = {0.66524096, 0.24472847, 0.09003057};
  double sums[3] = {};
  double squares[3] = {};
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    std::vector<float> row = logits;
    gradient(0, TensorView<float, 2>(row.data(), {1, 3}));
    for (std::size_t k = 0; k < 3; ++k) {
      sums[k] += static_cast<double>(row[k]);
      squares[k] += static_cast<double>(row[k]) * static_cast<double>(row[k]);
    }
  }
  for (std::size_t k = 0; k < 3; ++k) {
    const double variance = probabilities[k] * (1.0 - probabilities[k]);
    CHECK(std::fabs(sums[k] / draws) < 4.0 * std::sqrt(variance / draws));
    CHECK(squares[k] / draws == doctest::Approx(variance).epsilon(0.05));
  }
}

TEST_CASE("backward: the same gradients for any number of threads") {
  ThreadPool one(1);
  ThreadPool three(3);
  const auto expected = gradients(transformer::gradient_of_labels(labels), one);
  const auto found = gradients(transformer::gradient_of_labels(labels), three);
  for (const auto& [name, gradient] : expected) {
    const TensorView<const float, 2> other = found.at(name).view();
    CHECK(std::equal(other.data(), other.data() + other.size(), gradient.view().data()));
  }
}

TEST_CASE("backward: the gradient of attention is the slope along any direction") {
  constexpr std::size_t length = 150, heads = 2, d = 5, width = heads * d;  // three query tiles
  using Doubles = std::vector<double>;
  const auto random = [](std::uint64_t seed) {
    const std::vector<float> samples = support::gaussian(length * width, seed);
    FloatMatrix matrix(length, width);
    std::copy(samples.begin(), samples.end(), matrix.view().data());
    return matrix;
  };
  const FloatMatrix inputs[] = {random(1), random(2), random(3)};  // queries, keys, values
  const FloatMatrix dout = random(4);
  // Σ dout · attention, by definition, with one of the inputs moved along a direction.
  const auto loss = [&](std::size_t moved, const FloatMatrix& direction, double step) {
    Doubles x[3];
    for (std::size_t i = 0; i < 3; ++i) {
      for (std::size_t at = 0; at < length * width; ++at) {
        const auto along = static_cast<double>(direction.view().data()[at]);
        x[i].push_back(static_cast<double>(inputs[i].view().data()[at]) +
                       (i == moved ? step * along : 0.0));
      }
    }
    double sum = 0.0;
    for (std::size_t head = 0; head < width; head += d) {
      for (std::size_t query = 0; query < length; ++query) {
        double all = 0.0, weighted = 0.0;
        for (std::size_t key = 0; key <= query; ++key) {
          double score = 0.0, value = 0.0;
          for (std::size_t c = head; c < head + d; ++c) {
            score += x[0][query * width + c] * x[1][key * width + c];
            value += x[2][key * width + c] * static_cast<double>(dout.view()(query, c));
          }
          const double weight = std::exp(score / std::sqrt(static_cast<double>(d)));
          all += weight;
          weighted += weight * value;
        }
        sum += weighted / all;
      }
    }
    return sum;
  };
  FloatMatrix gradients[] = {random(5), random(6), random(7)};  // overwritten
  ThreadPool pool(2);
  transformer::causal_attention_gradient(inputs[0].view(), inputs[1].view(), inputs[2].view(),
                                         heads, dout.view(), gradients[0].view(),
                                         gradients[1].view(), gradients[2].view(), pool);
  for (std::size_t moved = 0; moved < 3; ++moved) {
    CAPTURE(moved);
    const FloatMatrix direction = random(8 + moved);
    constexpr double step = 1e-4;
    const double slope =
        (loss(moved, direction, step) - loss(moved, direction, -step)) / (2.0 * step);
    double expected = 0.0;
    for (std::size_t i = 0; i < length * width; ++i) {
      expected += static_cast<double>(std::as_const(gradients[moved]).view().data()[i]) *
                  static_cast<double>(direction.view().data()[i]);
    }
    CHECK(expected == doctest::Approx(slope).epsilon(1e-4));
  }
}

TEST_CASE("backward: labels and tokens outside the vocabulary are refused") {
  ThreadPool pool(1);
  Tokens wrong = labels;
  wrong[3] = 1024;
  CHECK(nash_swarm::test::message_of([&] {
          gradients(transformer::gradient_of_labels(wrong), pool);
        }).starts_with("labels: token 1024 at 3 is not in the vocabulary of 1024"));
  wrong[3] = -1;
  CHECK(nash_swarm::test::message_of([&] {
          gradients(transformer::gradient_of_labels(wrong), pool);
        }).starts_with("labels: token -1 at 3 is not in the vocabulary of 1024"));
  wrong.assign(labels.begin(), labels.end() - 1);
  CHECK(nash_swarm::test::message_of([&] {
          gradients(transformer::gradient_of_labels(wrong), pool);
        }).starts_with("labels: " + std::to_string(wrong.size()) + " labels for "));
  const Model model = transformer::make_float_model(tiny_checkpoint(), false);
  CHECK_THROWS_AS(
      transformer::run_backward(model, Tokens{1024}, transformer::gradient_of_labels(labels), pool,
                                transformer::GradientObserver{}),
      nash_swarm::Error);
}
