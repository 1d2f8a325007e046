#include "transformer/rotary.hpp"

#include <cmath>
#include <span>

#include "transformer/eigen_view.hpp"

namespace transformer {

using nash_swarm::TensorView;

RotaryTable::RotaryTable(float base, std::size_t head_size, std::size_t first_position,
                         std::size_t length)
    : cosines_(length, head_size / 2), sines_(length, head_size / 2) {
  for (std::size_t i = 0; i < head_size / 2; ++i) {
    const double frequency = std::pow(
        static_cast<double>(base), -2.0 * static_cast<double>(i) / static_cast<double>(head_size));
    for (std::size_t p = 0; p < length; ++p) {
      const double angle = static_cast<double>(first_position + p) * frequency;
      cosines_.view()(p, i) = static_cast<float>(std::cos(angle));
      sines_.view()(p, i) = static_cast<float>(std::sin(angle));
    }
  }
}

void RotaryTable::turn(TensorView<float, 2> x, float direction,
                       nash_swarm::ThreadPool& pool) const {
  const std::size_t half = cosines_.columns();
  const std::size_t length = cosines_.rows();
  pool.run((x.extent(0) + length - 1) / length, [&](std::size_t sequence) {
    for (std::size_t p = 0; p < length; ++p) {
      const ConstRowMap cosine = eigen_row(row_of(cosines_.view(), p));
      const ConstRowMap sine = eigen_row(row_of(sines_.view(), p));
      const std::span<float> row = row_of(x, sequence * length + p);
      for (std::size_t head = 0; head < row.size(); head += 2 * half) {
        RowMap first = eigen_row(row.subspan(head, half));
        RowMap second = eigen_row(row.subspan(head + half, half));
        const Eigen::ArrayXf turned = first * cosine - direction * sine * second;
        second = second * cosine + direction * sine * first;
        first = turned;
      }
    }
  });
}

}  // namespace transformer
