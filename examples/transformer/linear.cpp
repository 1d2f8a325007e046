#include "transformer/linear.hpp"

#include <algorithm>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/float_product.hpp>
#include <string>
#include <utility>

#include "transformer/eigen_view.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

// The slices of a product are fixed by its shape alone: the order of every sum, and with it every
// bit of the result, is then the same for any number of threads.
constexpr std::size_t token_slice = 256;
constexpr std::size_t row_slice = 48;  // whole tiles of add_product, whatever the instruction set
constexpr std::size_t few_tokens = 8;  // memory-bound: smaller slices balance the threads
constexpr std::size_t row_slice_of_few_tokens = 64;

/// Streamed weights are converted in bands of about this many floats (16 MB).
constexpr std::size_t band_floats = std::size_t{1} << 22;
constexpr std::size_t band_step = 64;  // rows, of which a band is a multiple

std::size_t ceil_divide(std::size_t a, std::size_t b) {
  return (a + b - 1) / b;
}

/// Part `index` of [0, size) cut into parts of `step`.
template <class T>
TensorView<T, 2> part(TensorView<T, 2> view, std::size_t dimension, std::size_t index,
                      std::size_t step) {
  const std::size_t size = view.extent(dimension);
  return view.slice(dimension, std::min(size, index * step), std::min(size, (index + 1) * step));
}

/// y [tokens, rows] = x [tokens, in] · wᵀ, slice by slice.
void multiply_slices(TensorView<const float, 2> x, TensorView<const float, 2> w,
                     TensorView<float, 2> y, ThreadPool& pool) {
  const std::size_t rows = x.extent(0) <= few_tokens ? row_slice_of_few_tokens : row_slice;
  const std::size_t row_slices = ceil_divide(w.extent(0), rows);
  const std::size_t token_slices = ceil_divide(x.extent(0), token_slice);
  pool.run(row_slices * token_slices, [&](std::size_t task) {
    const std::size_t i = task % token_slices;
    const std::size_t j = task / token_slices;
    const TensorView<const float, 2> inputs = part(x, 0, i, token_slice);
    const TensorView<const float, 2> weights = part(w, 0, j, rows);
    const TensorView<float, 2> outputs = part(part(y, 0, i, token_slice), 1, j, rows);
    if (x.extent(0) <= few_tokens) {
      eigen_matrix(outputs).noalias() = eigen_matrix(inputs) * eigen_matrix(weights).transpose();
    } else {
      eigen_matrix(outputs).setZero();
      nash_swarm::add_product(inputs, weights.transposed(), outputs);
    }
  });
}

}  // namespace

Linear::~Linear() = default;
TokenEmbedding::~TokenEmbedding() = default;

FloatWeights::FloatWeights(std::shared_ptr<const WeightSource> source, bool resident)
    : source_(std::move(source)) {
  if (!resident) return;
  ThreadPool alone(1);
  kept_ = read_matrix(*source_, alone);
}

void FloatWeights::check_shapes(std::size_t out, std::size_t in, std::size_t tokens,
                                std::size_t other_tokens) const {
  if (in == in_features() && out == out_features() && tokens == other_tokens) return;
  throw Error(source_->name(), "[" + std::to_string(tokens) + ", " + std::to_string(in) +
                                   "] and [" + std::to_string(other_tokens) + ", " +
                                   std::to_string(out) + "] are not its inputs and outputs");
}

void FloatWeights::for_each_band(
    ThreadPool& pool,
    const std::function<void(std::size_t, TensorView<const float, 2>)>& body) const {
  if (kept_.rows() != 0) return body(0, kept_.view());
  const std::size_t most = std::max<std::size_t>(1, band_floats / in_features() / band_step);
  const std::size_t band_rows = std::min(most * band_step, out_features());
  FloatMatrix scratch = FloatMatrix::for_overwrite(band_rows, in_features());
  for (std::size_t begin = 0; begin < out_features(); begin += band_rows) {
    const TensorView<float, 2> band =
        scratch.view().slice(0, 0, std::min(band_rows, out_features() - begin));
    read_in_parallel(*source_, begin, band, pool);
    body(begin, band);
  }
  source_->release();
}

void FloatWeights::multiply(TensorView<const float, 2> x, TensorView<float, 2> y,
                            ThreadPool& pool) const {
  check_shapes(y.extent(1), x.extent(1), x.extent(0), y.extent(0));
  for_each_band(pool, [&](std::size_t begin, TensorView<const float, 2> band) {
    multiply_slices(x, band, y.slice(1, begin, begin + band.extent(0)), pool);
  });
}

void FloatWeights::add_multiplied_transposed(TensorView<const float, 2> dy, TensorView<float, 2> dx,
                                             ThreadPool& pool) const {
  check_shapes(dy.extent(1), dx.extent(1), dx.extent(0), dy.extent(0));
  for_each_band(pool, [&](std::size_t begin, TensorView<const float, 2> band) {
    constexpr std::size_t slice = 64;
    const TensorView<const float, 2> part_of_dy = dy.slice(1, begin, begin + band.extent(0));
    pool.run(ceil_divide(dy.extent(0), slice), [&](std::size_t task) {
      nash_swarm::add_product(part(part_of_dy, 0, task, slice), band, part(dx, 0, task, slice));
    });
  });
}

void FloatWeights::gather(std::span<const std::int32_t> rows, TensorView<float, 2> target) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = static_cast<std::size_t>(rows[i]);
    const TensorView<float, 2> line = target.slice(0, i, i + 1);
    if (kept_.rows() == 0) {
      source_->read_rows(row, line);
    } else {
      const std::span<const float> kept = row_of(kept_.view(), row);
      std::copy(kept.begin(), kept.end(), line.data());
    }
  }
  if (kept_.rows() == 0) source_->release();
}

}  // namespace transformer
