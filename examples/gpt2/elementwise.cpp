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

void gelu_in_place(RowMap x) {
  constexpr float root_two_over_pi = 0.7978845608028654f;
  x *= 0.5f + 0.5f * (root_two_over_pi * (x + 0.044715f * x.cube())).tanh();
}

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

void add_bias_gelu(TensorView<float, 2> y, std::span<const float> bias, ThreadPool& pool) {
  for_each_row(y.extent(0), pool, [&](std::size_t row) {
    RowMap values = eigen_row(row_of(y, row));
    values += eigen_row(bias);
    gelu_in_place(values);
  });
}

void add_residual(TensorView<float, 2> hidden, TensorView<const float, 2> update,
                  std::span<const float> bias, ThreadPool& pool) {
  for_each_row(hidden.extent(0), pool, [&](std::size_t row) {
    eigen_row(row_of(hidden, row)) += eigen_row(row_of(update, row)) + eigen_row(bias);
  });
}

}  // namespace gpt2
