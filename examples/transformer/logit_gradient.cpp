#include "transformer/logit_gradient.hpp"

#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>

#include "transformer/eigen_view.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/loss.hpp"
#include "transformer/row_tasks.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// softmax(logits) in place.
void softmax(RowMap logits) {
  logits = (logits - logits.maxCoeff()).exp();
  logits /= logits.sum();
}

/// The first token at which the cumulated probability exceeds `uniform`, from [0, 1).
std::size_t draw(std::span<const float> probabilities, double uniform) {
  double sum = 0.0;
  for (std::size_t token = 0; token < probabilities.size(); ++token) {
    sum += static_cast<double>(probabilities[token]);
    if (sum > uniform) return token;
  }
  return most_likely_token(probabilities);  // the sum was rounded below `uniform`
}

}  // namespace

LogitGradient gradient_of_labels(std::span<const std::int32_t> labels) {
  return [labels](std::size_t begin, TensorView<float, 2> logits) {
    if (labels.size() < begin + logits.extent(0)) {
      throw Error("labels",
                  std::to_string(labels.size()) + " labels for " +
                      std::to_string(begin + logits.extent(0)) + " or more tokens",
                  "give one for every token");
    }
    for (std::size_t i = 0; i < logits.extent(0); ++i) {
      const std::span<float> row = row_of(logits, i);
      const std::int32_t label = labels[begin + i];
      if (label < 0 || static_cast<std::size_t>(label) >= row.size()) {
        throw Error("labels",
                    "token " + std::to_string(label) + " at " + std::to_string(begin + i) +
                        " is not in the vocabulary of " + std::to_string(row.size()),
                    "use the vocabulary of the model");
      }
      softmax(eigen_row(row));
      row[static_cast<std::size_t>(label)] -= 1.0f;
    }
  };
}

LogitGradient gradient_of_drawn_labels(std::mt19937_64& engine, ThreadPool& pool) {
  return [&engine, &pool](std::size_t, TensorView<float, 2> logits) {
    std::vector<double> uniform(logits.extent(0));
    for (double& number : uniform) number = static_cast<double>(engine() >> 11) * 0x1p-53;
    for_each_row(logits.extent(0), pool, [&](std::size_t i) {
      const std::span<float> row = row_of(logits, i);
      softmax(eigen_row(row));
      row[draw(row, uniform[i])] -= 1.0f;
    });
  };
}

LogitGradient gradient_of_divergence(const TokenEmbedding& teacher,
                                     TensorView<const float, 2> hidden, ThreadPool& pool) {
  return [&teacher, hidden, &pool](std::size_t begin, TensorView<float, 2> logits) {
    FloatMatrix expected = FloatMatrix::for_overwrite(logits.extent(0), logits.extent(1));
    teacher.logits(hidden.slice(0, begin, begin + logits.extent(0)), expected.view(), pool);
    for_each_row(logits.extent(0), pool, [&](std::size_t i) {
      RowMap row = eigen_row(row_of(logits, i));
      RowMap expected_row = eigen_row(row_of(expected.view(), i));
      softmax(row);
      softmax(expected_row);
      row -= expected_row;
    });
  };
}

}  // namespace transformer
