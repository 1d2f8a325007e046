#include "transformer/norm.hpp"

#include <cmath>

#include "transformer/eigen_view.hpp"
#include "transformer/row_tasks.hpp"

namespace transformer {
namespace {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// A row before it is multiplied by the weight, and what it was multiplied by to get there.
struct Normal {
  Eigen::ArrayXf values;
  float scale;
};

Normal normal_row(const NormParameters& norm, ConstRowMap row) {
  Normal normal{row, 0.0f};
  if (norm.kind == NormKind::layer) normal.values -= row.mean();
  normal.scale = 1.0f / std::sqrt(normal.values.square().mean() + norm.epsilon);
  normal.values *= normal.scale;
  return normal;
}

}  // namespace

void normalise(const NormParameters& norm, TensorView<const float, 2> x, TensorView<float, 2> y,
               ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t row) {
    const ConstRowMap from = eigen_row(row_of(x, row));
    RowMap to = eigen_row(row_of(y, row));
    to = from;
    if (norm.kind == NormKind::layer) to = from - from.mean();
    const float scale = 1.0f / std::sqrt(to.square().mean() + norm.epsilon);
    if (norm.bias.empty()) {
      to = to * scale * eigen_row(norm.weight);
    } else {
      to = to * scale * eigen_row(norm.weight) + eigen_row(norm.bias);
    }
  });
}

void add_norm_gradient(const NormParameters& norm, TensorView<const float, 2> x,
                       TensorView<const float, 2> dy, TensorView<float, 2> dx, ThreadPool& pool) {
  for_each_row(x.extent(0), pool, [&](std::size_t row) {
    const Normal normal = normal_row(norm, eigen_row(row_of(x, row)));
    const Eigen::ArrayXf dnormal = eigen_row(row_of(dy, row)) * eigen_row(norm.weight);
    const float mean = norm.kind == NormKind::layer ? dnormal.mean() : 0.0f;
    eigen_row(row_of(dx, row)) +=
        normal.scale * (dnormal - mean - normal.values * (dnormal * normal.values).mean());
  });
}

void norm_parameter_gradient(const NormParameters& norm, TensorView<const float, 2> x,
                             TensorView<const float, 2> dy, std::span<float> dweight,
                             std::span<float> dbias) {
  eigen_row(dweight).setZero();
  eigen_row(dbias).setZero();
  for (std::size_t row = 0; row < x.extent(0); ++row) {
    const ConstRowMap gradient = eigen_row(row_of(dy, row));
    eigen_row(dweight) += gradient * normal_row(norm, eigen_row(row_of(x, row))).values;
    if (!dbias.empty()) eigen_row(dbias) += gradient;
  }
}

}  // namespace transformer
