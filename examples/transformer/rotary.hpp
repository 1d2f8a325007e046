#pragma once

#include <cstddef>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/float_matrix.hpp"

namespace transformer {

/// The rotary position embedding (Su et al. 2021) of consecutive positions: channels i and i + d/2
/// of a head of d channels turn by position · base^(−2i/d).
class RotaryTable {
 public:
  RotaryTable(float base, std::size_t head_size, std::size_t first_position, std::size_t length);

  /// Turns the heads of sequences that start at the first position.
  /// @param x [sequences · length, heads · head_size], rows contiguous
  void rotate(nash_swarm::TensorView<float, 2> x, nash_swarm::ThreadPool& pool) const {
    turn(x, 1.0f, pool);
  }
  /// Turns them back, which is also how gradients come back through `rotate`.
  void rotate_back(nash_swarm::TensorView<float, 2> x, nash_swarm::ThreadPool& pool) const {
    turn(x, -1.0f, pool);
  }

 private:
  void turn(nash_swarm::TensorView<float, 2> x, float direction,
            nash_swarm::ThreadPool& pool) const;

  FloatMatrix cosines_;  // [length, head_size / 2]
  FloatMatrix sines_;
};

}  // namespace transformer
