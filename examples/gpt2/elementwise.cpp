#include "gpt2/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "gpt2/eigen_view.hpp"

namespace gpt2 {
namespace {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// Calls `body(row)` for every row, 16 rows to a task.
template <class Body>
void for_each_row(std::size_t rows, ThreadPool& pool, Body body) {
  constexpr std::size_t slice = 16;
  pool.run((rows + slice - 1) / slice, [&](std::size_t task) {
    const std::size_t end = std::min(rows, (task + 1) * slice);
    for (std::size_t row = task * slice; row < end; ++row) body(row);
  });
}

constexpr float root_two_over_pi = 0.7978845608028654f;
constexpr float cubic = 0.044715f;

}  // namespace

void layer_norm(TensorView<const float, 2> x, std::span<const float> weight,
                std::span<const float> bias, float epsilon, TensorView<float, 2> y,
                ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t row) {
    const ConstRowMap from = eigen_row(row_of(x, row));
    RowMap to = eigen_row(row_of(y, row));
    to = from - from.mean();
    const float scale = 1.0f / std::sqrt(to.square().mean() + epsilon);
    to = to * scale * eigen_row(weight) + eigen_row(bias);
  });
}

void add_bias(TensorView<float, 2> y, std::span<const float> bias, ThreadPool& pool) {
  for_each_row(y.extent(0), pool,
               [&](std::size_t row) { eigen_row(row_of(y, row)) += eigen_row(bias); });
}

void gelu(TensorView<float, 2> x, ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t row) {
    RowMap values = eigen_row(row_of(x, row));
    values *= 0.5f + 0.5f * (root_two_over_pi * (values + cubic * values.cube())).tanh();
  });
}

void add_residual(TensorView<float, 2> hidden, TensorView<const float, 2> update,
                  std::span<const float> bias, ThreadPool& pool) {
  for_each_row(hidden.extent(0), pool, [&](std::size_t row) {
    eigen_row(row_of(hidden, row)) += eigen_row(row_of(update, row)) + eigen_row(bias);
  });
}

void layer_norm_gradient(TensorView<const float, 2> x, std::span<const float> weight, float epsilon,
                         TensorView<const float, 2> dy, TensorView<float, 2> dx, ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t row) {
    const ConstRowMap from = eigen_row(row_of(x, row));
    const Eigen::ArrayXf centred = from - from.mean();
    const float scale = 1.0f / std::sqrt(centred.square().mean() + epsilon);
    const Eigen::ArrayXf normal = centred * scale;
    const Eigen::ArrayXf dnormal = eigen_row(row_of(dy, row)) * eigen_row(weight);
    eigen_row(row_of(dx, row)) +=
        scale * (dnormal - dnormal.mean() - normal * (dnormal * normal).mean());
  });
}

void layer_norm_parameter_gradient(TensorView<const float, 2> x, float epsilon,
                                   TensorView<const float, 2> dy, std::span<float> dweight,
                                   std::span<float> dbias) {
  eigen_row(dweight).setZero();
  eigen_row(dbias).setZero();
  for (std::size_t row = 0; row < x.extent(0); ++row) {
    const ConstRowMap from = eigen_row(row_of(x, row));
    const ConstRowMap gradient = eigen_row(row_of(dy, row));
    const Eigen::ArrayXf centred = from - from.mean();
    const float scale = 1.0f / std::sqrt(centred.square().mean() + epsilon);
    eigen_row(dweight) += gradient * centred * scale;
    eigen_row(dbias) += gradient;
  }
}

void gelu_gradient(TensorView<const float, 2> x, TensorView<float, 2> dy, ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t row) {
    const ConstRowMap values = eigen_row(row_of(x, row));
    const Eigen::ArrayXf tanh = (root_two_over_pi * (values + cubic * values.cube())).tanh();
    eigen_row(row_of(dy, row)) *=
        0.5f * (1.0f + tanh) + 0.5f * values * (1.0f - tanh.square()) * root_two_over_pi *
                                   (1.0f + 3.0f * cubic * values.square());
  });
}

}  // namespace gpt2
