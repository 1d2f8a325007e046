#include "transformer/decoded_matrix.hpp"

#include <algorithm>
#include <utility>

#include <nash_swarm/kernel/matmul.hpp>

namespace transformer {

DecodedMatrix::DecodedMatrix(std::shared_ptr<const WeightSource> original,
                             const nash_swarm::PackedMatrix& packed, nash_swarm::ThreadPool& pool)
    : DerivedWeightSource(std::move(original)), values_(out_features(), in_features()) {
  pool.run(values_.rows(), [&](std::size_t row) {
    nash_swarm::decode_row(packed, row,
                           {values_.view().data() + row * in_features(), {in_features()}});
  });
}

void DecodedMatrix::read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const {
  check_rows(begin, rows);
  std::copy_n(values_.view().data() + begin * in_features(), rows.size(), rows.data());
}

}  // namespace transformer
