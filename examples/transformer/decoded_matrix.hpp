#pragma once

#include <memory>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

#include "transformer/baseline_source.hpp"

namespace transformer {

/// The values of a packed matrix in float32.
class DecodedMatrix : public DerivedWeightSource {
 public:
  /// @param original the matrix that was packed
  DecodedMatrix(std::shared_ptr<const WeightSource> original,
                const nash_swarm::PackedMatrix& packed, nash_swarm::ThreadPool& pool);

  void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const override;

  /// [out, in]
  nash_swarm::TensorView<const float, 2> values() const { return values_.view(); }

 private:
  FloatMatrix values_;
};

}  // namespace transformer
