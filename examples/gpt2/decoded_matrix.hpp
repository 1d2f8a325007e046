#pragma once

#include <memory>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

#include "gpt2/baseline_source.hpp"
#include "gpt2/float_matrix.hpp"

namespace gpt2 {

/// The values of a packed matrix in float32, in the place of those that it was packed from.
class DecodedMatrix : public DerivedWeightSource {
 public:
  DecodedMatrix(std::shared_ptr<const WeightSource> original,
                const nash_swarm::PackedMatrix& packed, nash_swarm::ThreadPool& pool);

  void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const override;

 private:
  FloatMatrix values_;
};

}  // namespace gpt2
