#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {

/// Second moments of the loss gradients G of a matrix [out, in], one gradient per sequence: the
/// mean of GᵀG over the rows of each group, and of every row's squared length.
///
/// With labels drawn from the model's own predictions this is the Fisher information of the
/// weights, rows taken as independent: an error E of the weights moves the model by
/// ½·Σ_rows eᵀ·E[ggᵀ]·e nats of KL divergence. Gradients of whole sequences see what errors of
/// single tokens do not: those that attention averages and that add up (compare YAQA, Tseng et al.
/// 2025). Memory: 4 bytes for every pair of input channels and group.
class GradientMoment {
 public:
  /// @param name names the matrix in messages
  /// @param group_rows rows that share moments, such as those of an attention head
  /// @throws Error unless it divides the rows
  GradientMoment(std::string name, std::size_t out_features, std::size_t in_features,
                 std::size_t group_rows)
      : name_(std::move(name)),
        out_features_(out_features),
        in_features_(in_features),
        group_rows_(group_rows) {
    if (group_rows == 0 || out_features % group_rows != 0) {
      throw Error(name_, "groups of " + std::to_string(group_rows) + " rows do not divide " +
                             std::to_string(out_features) + " rows");
    }
    row_squares_.resize(out_features);
    sums_ = AlignedBuffer<float>(groups() * in_features * in_features);
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t out_features() const noexcept { return out_features_; }
  std::size_t in_features() const noexcept { return in_features_; }
  std::size_t groups() const noexcept { return out_features_ / group_rows_; }
  std::size_t group_rows() const noexcept { return group_rows_; }
  /// Number of tokens seen, over all sequences.
  std::size_t tokens() const noexcept { return tokens_; }
  std::size_t sequences() const noexcept { return sequences_; }

  /// Moments of two input channels in a group, summed over its rows, per token.
  double operator()(std::size_t group, std::size_t a, std::size_t b) const noexcept {
    const std::size_t place =
        (group * in_features_ + std::max(a, b)) * in_features_ + std::min(a, b);
    return static_cast<double>(sums_[place]) / static_cast<double>(tokens_);
  }

  /// Trace of a group's moments: the squared lengths of its rows, summed.
  double trace(std::size_t group) const noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < in_features_; ++k) sum += (*this)(group, k, k);
    return sum;
  }

  /// Squared length of a row's gradient, per token.
  double row_square(std::size_t row) const noexcept {
    return row_squares_[row] / static_cast<double>(tokens_);
  }

  /// Adds one sequence: G = dyᵀx. O(tokens · out · in + out · in²)
  /// @param x inputs [tokens, in]
  /// @param dy gradients of the summed loss by the outputs [tokens, out]
  /// @throws Error for shapes that do not fit, or NaN or infinity
  template <Executor E>
  void add(TensorView<const float, 2> x, TensorView<const float, 2> dy, E& executor) {
    if (x.extent(0) != dy.extent(0) || x.extent(1) != in_features_ ||
        dy.extent(1) != out_features_) {
      throw Error(name_, "inputs of " + std::to_string(x.extent(1)) + " and gradients of " +
                             std::to_string(dy.extent(1)) + " channels for a matrix of shape [" +
                             std::to_string(out_features_) + ", " + std::to_string(in_features_) +
                             "]");
    }
    const ConstMap inputs = map(x);
    const ConstMap gradients = map(dy);
    AlignedBuffer<float> product(out_features_ * in_features_);
    const std::size_t tasks = (out_features_ + band - 1) / band;
    executor.run(tasks, [&](std::size_t task) {
      const std::size_t begin = task * band;
      const std::size_t rows = std::min(band, out_features_ - begin);
      Map(product.data() + begin * in_features_, index(rows), index(in_features_)).noalias() =
          gradients.middleCols(index(begin), index(rows)).transpose() * inputs;
    });
    add_gradient({product.data(), {out_features_, in_features_}}, x.extent(0), executor);
  }

  /// Adds the gradient of one sequence of some tokens, [out, in] with contiguous rows.
  /// @throws Error for a wrong shape, or NaN or infinity (named by row)
  template <Executor E>
  void add_gradient(TensorView<const float, 2> gradient, std::size_t tokens, E& executor) {
    if (gradient.extent(0) != out_features_ || gradient.extent(1) != in_features_) {
      throw Error(name_, "a gradient of another shape than the matrix");
    }
    const ConstMap values = map(gradient);
    for (std::size_t row = 0; row < out_features_; ++row) {
      const double square = values.row(index(row)).template cast<double>().squaredNorm();
      if (!std::isfinite(square)) {
        throw Error(name_, "the gradient of row " + std::to_string(row) + " is not finite",
                    "check the model and its text");
      }
      row_squares_[row] += square;
    }
    const std::size_t bands = (in_features_ + band - 1) / band;
    executor.run(groups() * bands, [&](std::size_t task) {
      // The lower triangle, in bands of rows; the longest are begun first.
      const std::size_t group = task % groups();
      const std::size_t begin = (bands - 1 - task / groups()) * band;
      const std::size_t end = std::min(in_features_, begin + band);
      const auto rows = values.middleRows(index(group * group_rows_), index(group_rows_));
      Map sums(sums_.data() + (group * in_features_ + begin) * in_features_, index(end - begin),
               index(in_features_));
      sums.leftCols(index(end)).noalias() +=
          rows.middleCols(index(begin), index(end - begin)).transpose() * rows.leftCols(index(end));
    });
    tokens_ += tokens;
    ++sequences_;
  }

 private:
  static constexpr std::size_t band = 64;
  using Sums = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Map = Eigen::Map<Sums>;
  using ConstMap =
      Eigen::Map<const Sums, Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

  static Eigen::Index index(std::size_t value) noexcept { return static_cast<Eigen::Index>(value); }

  static ConstMap map(TensorView<const float, 2> view) {
    return {view.data(),
            index(view.extent(0)),
            index(view.extent(1)),
            {index(view.stride(0)), index(view.stride(1))}};
  }

  std::string name_;
  std::size_t out_features_;
  std::size_t in_features_;
  std::size_t group_rows_;
  AlignedBuffer<float> sums_;  // [groups, in, in], lower triangles
  std::vector<double> row_squares_;
  std::size_t tokens_ = 0;
  std::size_t sequences_ = 0;
};

}  // namespace nash_swarm
