#include "transformer/attention.hpp"

#include <algorithm>
#include <cmath>
#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/float_product.hpp>

#include "transformer/eigen_view.hpp"

namespace transformer {
namespace {

using nash_swarm::AlignedBuffer;
using nash_swarm::TensorView;

constexpr std::size_t query_tile = 64;
constexpr std::size_t simd_floats = 16;

std::size_t round_up(std::size_t size) {
  return (size + simd_floats - 1) / simd_floats * simd_floats;
}

/// Replaces the first `visible` of the scores by exp(scale·(score − maximum)) and the others by 0.
/// The row is a whole number of vectors, so that none is left to scalar code.
/// @return the sum of the row
float exponentiate(std::span<float> scores, std::size_t visible, float scale) {
  RowMap row = eigen_row(scores);
  const float maximum = eigen_row(std::span<const float>(scores.first(visible))).maxCoeff();
  std::fill(scores.begin() + static_cast<std::ptrdiff_t>(visible), scores.end(), maximum);
  row = ((row - maximum) * scale).exp();
  std::fill(scores.begin() + static_cast<std::ptrdiff_t>(visible), scores.end(), 0.0f);
  return row.sum();
}

/// c = ab
void multiply(TensorView<const float, 2> a, TensorView<const float, 2> b, TensorView<float, 2> c) {
  constexpr std::size_t few_rows = 8;  // memory-bound: b had better not be copied
  if (a.extent(0) > few_rows) {
    eigen_matrix(c).setZero();
    nash_swarm::add_product(a, b, c);
  } else if (b.stride(1) == 1) {
    eigen_matrix(c).noalias() = eigen_matrix(a) * eigen_matrix(b);
  } else {
    eigen_matrix(c).noalias() = eigen_matrix(a) * eigen_matrix(b.transposed()).transpose();
  }
}

/// One head of one sequence: queries and out [length, d], keys and values [past + length, d].
void attend(TensorView<const float, 2> queries, TensorView<const float, 2> keys,
            TensorView<const float, 2> values, TensorView<float, 2> out) {
  const std::size_t length = queries.extent(0);
  const std::size_t past = keys.extent(0) - length;
  const float scale = 1.0f / std::sqrt(static_cast<float>(queries.extent(1)));
  const std::size_t stride = round_up(keys.extent(0));
  AlignedBuffer<float> buffer(std::min(query_tile, length) * stride);
  for (std::size_t begin = 0; begin < length; begin += query_tile) {
    const std::size_t end = std::min(begin + query_tile, length);
    const std::size_t seen = past + end;  // keys that the last query of the tile sees
    const TensorView<float, 2> scores =
        TensorView<float, 2>(buffer.data(), {end - begin, stride}).slice(1, 0, seen);
    multiply(queries.slice(0, begin, end), keys.slice(0, 0, seen).transposed(), scores);
    Eigen::Array<float, Eigen::Dynamic, 1, 0, static_cast<int>(query_tile), 1> sums(
        eigen_index(end - begin));
    for (std::size_t query = begin; query < end; ++query) {
      const std::span<float> row(buffer.data() + (query - begin) * stride, round_up(seen));
      sums(eigen_index(query - begin)) = exponentiate(row, past + query + 1, scale);
    }
    const TensorView<float, 2> result = out.slice(0, begin, end);
    multiply(scores, values.slice(0, 0, seen), result);
    eigen_matrix(result).array().colwise() /= sums;
  }
}

/// Gradients of one head of one sequence, [length, d] each, query tile by query tile: what no query
/// of a tile sees is left out, and the scores of a tile stay in the cache. Those of keys and values
/// are added to what is there.
void attend_backward(TensorView<const float, 2> queries, TensorView<const float, 2> keys,
                     TensorView<const float, 2> values, TensorView<const float, 2> dout,
                     TensorView<float, 2> dqueries, TensorView<float, 2> dkeys,
                     TensorView<float, 2> dvalues) {
  const std::size_t length = queries.extent(0);
  const float scale = 1.0f / std::sqrt(static_cast<float>(queries.extent(1)));
  const std::size_t stride = round_up(length);
  const std::size_t rows = std::min(query_tile, length);
  AlignedBuffer<float> buffers[2] = {AlignedBuffer<float>(rows * stride),
                                     AlignedBuffer<float>(rows * stride)};
  for (std::size_t begin = 0; begin < length; begin += query_tile) {
    const std::size_t end = std::min(begin + query_tile, length);
    const auto tile = [&](auto view) { return view.slice(0, begin, end); };
    const auto seen = [&](auto view) { return view.slice(0, 0, end); };
    const auto scores_in = [&](AlignedBuffer<float>& buffer) {
      return TensorView<float, 2>(buffer.data(), {end - begin, stride}).slice(1, 0, end);
    };
    const TensorView<float, 2> probabilities = scores_in(buffers[0]);
    const TensorView<float, 2> dscores = scores_in(buffers[1]);
    multiply(tile(queries), seen(keys).transposed(), probabilities);
    multiply(tile(dout), seen(values).transposed(), dscores);
    for (std::size_t query = begin; query < end; ++query) {
      const std::span<float> whole(probabilities.data() + (query - begin) * stride, round_up(end));
      const float sum = exponentiate(whole, query + 1, scale);
      RowMap p = eigen_row(row_of(probabilities, query - begin));
      RowMap dp = eigen_row(row_of(dscores, query - begin));
      p /= sum;
      dp = scale * p * (dp - (p * dp).sum());
    }
    nash_swarm::add_product(probabilities.transposed(), tile(dout), seen(dvalues));
    nash_swarm::add_product(dscores.transposed(), tile(queries), seen(dkeys));
    multiply(dscores, seen(keys), tile(dqueries));
  }
}

}  // namespace

void causal_attention(TensorView<const float, 3> queries, TensorView<const float, 3> keys,
                      TensorView<const float, 3> values, std::size_t heads,
                      TensorView<float, 3> out, nash_swarm::ThreadPool& pool) {
  const std::size_t d = queries.extent(2) / heads;
  const std::size_t sharing = queries.extent(2) / keys.extent(2);
  pool.run(queries.extent(0) * heads, [&](std::size_t task) {
    const std::size_t sequence = task / heads;
    const std::size_t index = task % heads;
    const auto head = [&](auto view, std::size_t i) {
      return view[sequence].slice(1, i * d, (i + 1) * d);
    };
    attend(head(queries, index), head(keys, index / sharing), head(values, index / sharing),
           head(out, index));
  });
}

void causal_attention_gradient(TensorView<const float, 2> queries, TensorView<const float, 2> keys,
                               TensorView<const float, 2> values, std::size_t heads,
                               TensorView<const float, 2> dout, TensorView<float, 2> dqueries,
                               TensorView<float, 2> dkeys, TensorView<float, 2> dvalues,
                               nash_swarm::ThreadPool& pool) {
  const std::size_t d = queries.extent(1) / heads;
  const std::size_t sharing = queries.extent(1) / keys.extent(1);
  eigen_matrix(dkeys).setZero();
  eigen_matrix(dvalues).setZero();
  pool.run(heads / sharing, [&](std::size_t shared) {
    const auto head = [&](auto view, std::size_t i) { return view.slice(1, i * d, (i + 1) * d); };
    for (std::size_t index = shared * sharing; index < (shared + 1) * sharing; ++index) {
      attend_backward(head(queries, index), head(keys, shared), head(values, shared),
                      head(dout, index), head(dqueries, index), head(dkeys, shared),
                      head(dvalues, shared));
    }
  });
}

}  // namespace transformer
