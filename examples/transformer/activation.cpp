#include "transformer/activation.hpp"

#include "transformer/eigen_view.hpp"
#include "transformer/row_tasks.hpp"

namespace transformer {
namespace {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

constexpr float root_two_over_pi = 0.7978845608028654f;
constexpr float cubic = 0.044715f;

void gelu(RowMap x) {
  x *= 0.5f + 0.5f * (root_two_over_pi * (x + cubic * x.cube())).tanh();
}

void gelu_gradient(ConstRowMap x, RowMap dy) {
  const Eigen::ArrayXf tanh = (root_two_over_pi * (x + cubic * x.cube())).tanh();
  dy *= 0.5f * (1.0f + tanh) +
        0.5f * x * (1.0f - tanh.square()) * root_two_over_pi * (1.0f + 3.0f * cubic * x.square());
}

/// 1 / (1 + e^−x) = ½ + ½ tanh(x/2), which cannot overflow
Eigen::ArrayXf sigmoid(ConstRowMap x) {
  return 0.5f + 0.5f * (0.5f * x).tanh();
}

void gated_silu(RowMap gate, ConstRowMap up) {
  const Eigen::ArrayXf share = sigmoid(ConstRowMap(gate.data(), gate.size()));
  gate = gate * share * up;
}

void gated_silu_gradient(ConstRowMap gate, ConstRowMap up, RowMap dgate, RowMap dup) {
  const Eigen::ArrayXf share = sigmoid(gate);
  dup = dgate * gate * share;
  dgate *= up * share * (1.0f + gate * (1.0f - share));
}

}  // namespace

void activate(Activation kind, TensorView<float, 2> x, ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t index) {
    const std::span<float> row = row_of(x, index);
    switch (kind) {
      case Activation::gelu_tanh:
        return gelu(eigen_row(row));
      case Activation::relu:
        eigen_row(row) = (eigen_row(row) < 0.0f).select(0.0f, eigen_row(row));  // keeps a NaN
        return;
      case Activation::gated_silu:
        return gated_silu(eigen_row(row.first(row.size() / 2)),
                          eigen_row(std::span<const float>(row.last(row.size() / 2))));
    }
  });
}

void activation_gradient(Activation kind, TensorView<const float, 2> x, TensorView<float, 2> dy,
                         ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t index) {
    const std::span<const float> row = row_of(x, index);
    const std::span<float> gradient = row_of(dy, index);
    const std::size_t half = row.size() / 2;
    switch (kind) {
      case Activation::gelu_tanh:
        return gelu_gradient(eigen_row(row), eigen_row(gradient));
      case Activation::relu:
        eigen_row(gradient) *= (eigen_row(row) > 0.0f).cast<float>();
        return;
      case Activation::gated_silu:
        return gated_silu_gradient(eigen_row(row.first(half)), eigen_row(row.last(half)),
                                   eigen_row(gradient.first(half)), eigen_row(gradient.last(half)));
    }
  });
}

}  // namespace transformer
