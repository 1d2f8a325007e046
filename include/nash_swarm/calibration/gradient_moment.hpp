#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/symmetric_sums.hpp>
#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/float_product.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {

/// Second moments of the loss gradients G of a matrix [out, in], one gradient per sequence: the
/// mean of GᵀG over the rows of each group, and of every row's squared length. Those are kept for
/// the first, third, … sequence and for the others apart, so that what one half tells of the rows
/// can be judged by the other.
///
/// With labels drawn from the model's own predictions this is the Fisher information of the
/// weights, rows taken as independent: an error E of the weights moves the model by
/// ½·Σ_rows eᵀ·E[ggᵀ]·e nats of KL divergence. Gradients of whole sequences see what errors of
/// single tokens do not: those that attention averages and that add up (compare YAQA, Tseng et al.
/// 2025). Memory: 4 bytes for every pair of input channels and group, about 2·in² for each group.
class GradientMoment {
 public:
  static constexpr std::size_t halves = 2;

  /// @param name names the matrix in messages
  /// @param group_rows rows that share moments, such as those of an attention head
  /// @throws Error unless it divides the rows
  NASH_SWARM_KEYED GradientMoment(std::string name, std::size_t out_features,
                                  std::size_t in_features, std::size_t group_rows)
      : name_(std::move(name)),
        out_features_(out_features),
        group_rows_(group_rows),
        sums_(groups_of(name_, out_features, group_rows), in_features),
        row_squares_(halves * out_features) {}

  /// Moments out of stored sums.
  /// @param row_squares [halves, out]
  /// @throws Error if sums and rows do not fit the groups, or for a row whose square is impossible
  NASH_SWARM_KEYED GradientMoment(std::string name, std::size_t group_rows, SymmetricSums sums,
                                  std::vector<double> row_squares, std::size_t tokens,
                                  std::size_t sequences)
      : name_(std::move(name)),
        out_features_(row_squares.size() / halves),
        group_rows_(group_rows),
        sums_(std::move(sums)),
        row_squares_(std::move(row_squares)),
        tokens_(tokens),
        sequences_(sequences) {
    if (groups_of(name_, out_features_, group_rows_) != sums_.groups()) {
      throw Error(name_, "stored sums of " + std::to_string(sums_.groups()) +
                             " groups are not those of gradients " + shape_text());
    }
    for (std::size_t i = 0; i < row_squares_.size(); ++i) {
      if (std::isfinite(row_squares_[i]) && row_squares_[i] >= 0.0) continue;
      throw Error(name_,
                  "the squared length of row " + std::to_string(i % out_features_) + " is " +
                      std::to_string(row_squares_[i]),
                  "gather the gradients again");
    }
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t out_features() const noexcept { return out_features_; }
  std::size_t in_features() const noexcept { return sums_.channels(); }
  std::size_t groups() const noexcept { return sums_.groups(); }
  std::size_t group_rows() const noexcept { return group_rows_; }
  /// Number of tokens seen, over all sequences.
  std::size_t tokens() const noexcept { return tokens_; }
  std::size_t sequences() const noexcept { return sequences_; }

  /// Moments of two input channels in a group, summed over its rows, per token.
  NASH_SWARM_KEYED double operator()(std::size_t group, std::size_t a,
                                     std::size_t b) const noexcept {
    return static_cast<double>(sums_(group, a, b)) / static_cast<double>(tokens_);
  }

  /// Trace of a group's moments: the squared lengths of its rows, summed.
  NASH_SWARM_KEYED double trace(std::size_t group) const noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < in_features(); ++k) sum += (*this)(group, k, k);
    return sum;
  }

  /// Squared length of a row's gradient, per token.
  NASH_SWARM_KEYED double row_square(std::size_t row) const noexcept {
    return (row_squares_[row] + row_squares_[out_features_ + row]) / static_cast<double>(tokens_);
  }
  /// The same of one half of the sequences, summed.
  NASH_SWARM_KEYED double half_square(std::size_t half, std::size_t row) const noexcept {
    return row_squares_[half * out_features_ + row];
  }

  /// Adds one sequence: G = dyᵀx. O(tokens · out · in + out · in²)
  /// @param x inputs [tokens, in]
  /// @param dy gradients of the summed loss by the outputs [tokens, out]
  /// @throws Error for shapes that do not fit, or NaN or infinity
  template <Executor E>
  NASH_SWARM_KEYED void add(TensorView<const float, 2> x, TensorView<const float, 2> dy,
                            E& executor) {
    if (x.extent(0) != dy.extent(0) || x.extent(1) != in_features() ||
        dy.extent(1) != out_features_) {
      throw Error(name_, "inputs of " + std::to_string(x.extent(1)) + " and gradients of " +
                             std::to_string(dy.extent(1)) + " channels for a matrix of shape [" +
                             std::to_string(out_features_) + ", " + std::to_string(in_features()) +
                             "]");
    }
    auto product = AlignedBuffer<float>::for_overwrite(out_features_ * in_features());
    const TensorView<float, 2> gradient(product.data(), {out_features_, in_features()});
    detail::for_each_band(executor, 0, out_features_, band_rows,
                          [&](std::size_t begin, std::size_t end) {
                            const TensorView<float, 2> rows = gradient.slice(0, begin, end);
                            std::fill_n(rows.data(), rows.size(), 0.0f);
                            add_product(dy.slice(1, begin, end).transposed(), x, rows);
                          });
    add_gradient(gradient, x.extent(0), executor);
  }

  /// Adds the gradient of one sequence of some tokens, [out, in].
  /// @throws Error for a wrong shape, no token, or NaN or infinity (named by row); then nothing is
  /// added
  template <Executor E>
  NASH_SWARM_KEYED void add_gradient(TensorView<const float, 2> gradient, std::size_t tokens,
                                     E& executor) {
    if (gradient.extent(0) != out_features_ || gradient.extent(1) != in_features()) {
      throw Error(name_, "a gradient of another shape than the matrix");
    }
    if (tokens == 0) throw Error(name_, "a gradient of no token", "leave out empty sequences");
    std::vector<double> squares(out_features_);
    detail::for_each_band(executor, 0, out_features_, band_rows,
                          [&](std::size_t begin, std::size_t end) {
                            for (std::size_t row = begin; row < end; ++row) {
                              for (std::size_t k = 0; k < in_features(); ++k) {
                                const double value = static_cast<double>(gradient(row, k));
                                squares[row] += value * value;
                              }
                            }
                          });
    for (std::size_t row = 0; row < out_features_; ++row) {
      if (std::isfinite(squares[row])) continue;
      throw Error(name_, "the gradient of row " + std::to_string(row) + " is not finite",
                  "check the model and its text");
    }
    double* const half = row_squares_.data() + sequences_ % halves * out_features_;
    for (std::size_t row = 0; row < out_features_; ++row) half[row] += squares[row];
    executor.run(groups() * sums_.bands(), [&](std::size_t task) {
      // The longest bands are begun first.
      const std::size_t group = task % groups();
      sums_.add_products(group, sums_.bands() - 1 - task / groups(),
                         gradient.slice(0, group * group_rows_, (group + 1) * group_rows_));
    });
    tokens_ += tokens;
    ++sequences_;
  }

  /// Adds what another object has seen of the same matrix; sums in float32 depend a little on the
  /// order.
  /// @throws Error for moments of another name, shape or grouping
  NASH_SWARM_KEYED void merge(const GradientMoment& other) {
    if (other.name_ != name_ || other.out_features_ != out_features_ ||
        other.in_features() != in_features() || other.group_rows_ != group_rows_) {
      throw Error(name_, "gradients " + shape_text() + " cannot be merged with those of " +
                             other.name_ + ", " + other.shape_text());
    }
    sums_.add(other.sums_);
    // The other's first sequence follows on the last one of these.
    for (std::size_t half = 0; half < halves; ++half) {
      double* const own = row_squares_.data() + (sequences_ + half) % halves * out_features_;
      for (std::size_t row = 0; row < out_features_; ++row)
        own[row] += other.half_square(half, row);
    }
    tokens_ += other.tokens_;
    sequences_ += other.sequences_;
  }

  /// The sums (not means) as they are, to be stored.
  const SymmetricSums& sums() const noexcept { return sums_; }
  /// Squared lengths of the rows [halves, out], summed over the sequences, to be stored.
  std::span<const double> row_squares() const noexcept { return row_squares_; }

 private:
  static constexpr std::size_t band_rows = 64;  // of a task

  NASH_SWARM_KEYED static std::size_t groups_of(const std::string& name, std::size_t out_features,
                                                std::size_t group_rows) {
    if (group_rows == 0 || out_features % group_rows != 0) {
      throw Error(name, "groups of " + std::to_string(group_rows) + " rows do not divide " +
                            std::to_string(out_features) + " rows");
    }
    return out_features / group_rows;
  }

  NASH_SWARM_KEYED std::string shape_text() const {
    return "[" + std::to_string(out_features_) + ", " + std::to_string(in_features()) +
           "] in groups of " + std::to_string(group_rows_) + " rows";
  }

  std::string name_;
  std::size_t out_features_;
  std::size_t group_rows_;
  SymmetricSums sums_;
  std::vector<double> row_squares_;
  std::size_t tokens_ = 0;
  std::size_t sequences_ = 0;
};

}  // namespace nash_swarm
