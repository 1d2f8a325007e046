#include "gpt2/attention.hpp"

#include <algorithm>
#include <cmath>
#include <nash_swarm/core/aligned_buffer.hpp>

#include "gpt2/eigen_view.hpp"

namespace gpt2 {
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
    MatrixMap probabilities = eigen_matrix(scores);
    MatrixMap result = eigen_matrix(out.slice(0, begin, end));
    probabilities.noalias() = eigen_matrix(queries.slice(0, begin, end)) *
                              eigen_matrix(keys.slice(0, 0, seen)).transpose();
    Eigen::Array<float, Eigen::Dynamic, 1, 0, static_cast<int>(query_tile), 1> sums(
        eigen_index(end - begin));
    for (std::size_t query = begin; query < end; ++query) {
      const std::span<float> row(buffer.data() + (query - begin) * stride, round_up(seen));
      sums(eigen_index(query - begin)) = exponentiate(row, past + query + 1, scale);
    }
    result.noalias() = probabilities * eigen_matrix(values.slice(0, 0, seen));
    result.array().colwise() /= sums;
  }
}

}  // namespace

void causal_attention(TensorView<const float, 3> queries, TensorView<const float, 3> keys,
                      TensorView<const float, 3> values, std::size_t heads,
                      TensorView<float, 3> out, nash_swarm::ThreadPool& pool) {
  const std::size_t d = queries.extent(2) / heads;
  pool.run(queries.extent(0) * heads, [&](std::size_t task) {
    const std::size_t sequence = task / heads;
    const std::size_t begin = task % heads * d;
    const auto head = [&](auto view) { return view[sequence].slice(1, begin, begin + d); };
    attend(head(queries), head(keys), head(values), head(out));
  });
}

void causal_attention_gradient(TensorView<const float, 2> queries, TensorView<const float, 2> keys,
                               TensorView<const float, 2> values, std::size_t heads,
                               TensorView<const float, 2> dout, TensorView<float, 2> dqueries,
                               TensorView<float, 2> dkeys, TensorView<float, 2> dvalues,
                               nash_swarm::ThreadPool& pool) {
  const std::size_t d = queries.extent(1) / heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(d));
  pool.run(heads, [&](std::size_t index) {
    const auto head = [&](auto view) {
      return eigen_matrix(view.slice(1, index * d, (index + 1) * d));
    };
    RowMajorMatrix probabilities = scale * (head(queries) * head(keys).transpose());
    for (Eigen::Index row = 0; row < probabilities.rows(); ++row) {
      auto seen = probabilities.row(row).head(row + 1).array();
      seen = (seen - seen.maxCoeff()).exp();
      seen /= seen.sum();
      probabilities.row(row).tail(probabilities.cols() - row - 1).setZero();
    }
    head(dvalues).noalias() = probabilities.transpose() * head(dout);
    const RowMajorMatrix by_probability = head(dout) * head(values).transpose();
    const Eigen::VectorXf means = probabilities.cwiseProduct(by_probability).rowwise().sum();
    const RowMajorMatrix scores =
        scale * probabilities.cwiseProduct(by_probability.colwise() - means);
    head(dqueries).noalias() = scores * head(keys);
    head(dkeys).noalias() = scores.transpose() * head(queries);
  });
}

}  // namespace gpt2
