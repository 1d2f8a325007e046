#include "transformer/weight_source.hpp"

#include <algorithm>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/safetensors_reader.hpp>
#include <span>
#include <utility>
#include <vector>

namespace transformer {

using nash_swarm::Error;
using nash_swarm::TensorView;

WeightSource::~WeightSource() = default;

void WeightSource::check_rows(std::size_t begin, TensorView<float, 2> rows) const {
  const std::size_t out = out_features();
  if (!rows.is_contiguous() || rows.extent(1) != in_features() || begin > out ||
      rows.extent(0) > out - begin) {
    throw Error(name(), "rows [" + std::to_string(begin) + ", " +
                            std::to_string(begin + rows.extent(0)) + ") of " +
                            std::to_string(rows.extent(1)) + " do not lie within [" +
                            std::to_string(out) + ", " + std::to_string(in_features()) + "]");
  }
}

void read_in_parallel(const WeightSource& source, std::size_t begin, TensorView<float, 2> rows,
                      nash_swarm::ThreadPool& pool) {
  constexpr std::size_t step = 64;
  const std::size_t count = rows.extent(0);
  pool.run((count + step - 1) / step, [&](std::size_t task) {
    const std::size_t first = task * step;
    source.read_rows(begin + first, rows.slice(0, first, std::min(count, first + step)));
  });
}

FloatMatrix read_matrix(const WeightSource& source, nash_swarm::ThreadPool& pool) {
  FloatMatrix matrix = FloatMatrix::for_overwrite(source.out_features(), source.in_features());
  read_in_parallel(source, 0, matrix.view(), pool);
  source.release();
  return matrix;
}

TensorWeightSource::TensorWeightSource(std::string name,
                                       std::shared_ptr<const nash_swarm::SafetensorsFile> file,
                                       const nash_swarm::StoredTensor& tensor, bool transposed)
    : name_(std::move(name)), file_(std::move(file)), tensor_(&tensor), transposed_(transposed) {
  if (tensor.shape.size() != 2) {
    throw Error(tensor.name, "has " + std::to_string(tensor.shape.size()) + " dimensions, not 2");
  }
  out_ = tensor.shape[transposed ? 1 : 0];
  in_ = tensor.shape[transposed ? 0 : 1];
}

void TensorWeightSource::read_rows(std::size_t begin, TensorView<float, 2> rows) const {
  check_rows(begin, rows);
  if (transposed_) {
    read_transposed(begin, rows);
  } else {
    nash_swarm::read_floats(*tensor_, begin * in_, {rows.data(), rows.size()});
  }
}

void TensorWeightSource::release() const noexcept {
  file_->release(*tensor_);
}

/// Stored rows are input channels: pieces of 16 of them are read contiguously and turned round in
/// the first-level cache, so that every cache line of the result is written once and whole.
void TensorWeightSource::read_transposed(std::size_t begin, TensorView<float, 2> rows) const {
  constexpr std::size_t tile = 16;
  const std::size_t count = rows.extent(0);
  std::vector<float> pieces(tile * count);
  for (std::size_t first = 0; first < in_; first += tile) {
    const std::size_t width = std::min(tile, in_ - first);
    for (std::size_t k = 0; k < width; ++k) {
      nash_swarm::read_floats(*tensor_, (first + k) * out_ + begin,
                              std::span(pieces).subspan(k * count, count));
    }
    for (std::size_t row = 0; row < count; ++row) {
      float* const target = rows.data() + row * in_ + first;
      for (std::size_t k = 0; k < width; ++k) target[k] = pieces[k * count + row];
    }
  }
}

}  // namespace transformer
