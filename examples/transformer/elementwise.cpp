#include "transformer/elementwise.hpp"

#include "transformer/eigen_view.hpp"
#include "transformer/row_tasks.hpp"

namespace transformer {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

void add_bias(TensorView<float, 2> y, std::span<const float> bias, ThreadPool& pool) {
  if (bias.empty()) return;
  for_each_row(y.extent(0), pool,
               [&](std::size_t row) { eigen_row(row_of(y, row)) += eigen_row(bias); });
}

void add_residual(TensorView<float, 2> hidden, TensorView<const float, 2> update,
                  std::span<const float> bias, ThreadPool& pool) {
  for_each_row(hidden.extent(0), pool, [&](std::size_t row) {
    RowMap sum = eigen_row(row_of(hidden, row));
    if (bias.empty()) {
      sum += eigen_row(row_of(update, row));
    } else {
      sum += eigen_row(row_of(update, row)) + eigen_row(bias);
    }
  });
}

}  // namespace transformer
