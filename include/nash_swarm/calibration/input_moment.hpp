#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include <Eigen/Core>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {

/// Second moments of the inputs x of a matrix: the mean of xxᵀ, gathered over batches.
/// Memory: 4 bytes for every pair of channels.
class InputMoment {
 public:
  /// @param name names the matrix in messages
  InputMoment(std::string name, std::size_t in_features)
      : name_(std::move(name)), in_features_(in_features), sums_(in_features * in_features) {}

  const std::string& name() const noexcept { return name_; }
  std::size_t in_features() const noexcept { return in_features_; }
  /// Number of inputs (tokens) seen.
  std::size_t count() const noexcept { return count_; }

  /// Mean product of two input channels; as long as nothing was seen that of white inputs (H = I).
  double operator()(std::size_t a, std::size_t b) const noexcept {
    if (count_ == 0) return a == b ? 1.0 : 0.0;
    const double sum = static_cast<double>(sums_[std::max(a, b) * in_features_ + std::min(a, b)]);
    return sum / static_cast<double>(count_);
  }

  /// Mean square of one input channel.
  double mean_square(std::size_t channel) const noexcept { return (*this)(channel, channel); }

  /// Trace of H: the sum of the mean squares.
  double trace() const noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < in_features_; ++k) sum += mean_square(k);
    return sum;
  }

  /// Adds a batch x [tokens, in], O(tokens · in²). The result does not depend on the executor.
  /// @throws Error for a wrong shape, or NaN or infinity in x (named by index)
  template <Executor E>
  void add(TensorView<const float, 2> x, E& executor) {
    if (x.extent(1) != in_features_) {
      throw Error(name_, "calibration input of " + std::to_string(x.extent(1)) +
                             " channels for a matrix of " + std::to_string(in_features_));
    }
    const Inputs inputs(x.data(), index(x.extent(0)), index(in_features_),
                        {index(x.stride(0)), index(x.stride(1))});
    constexpr std::size_t channels_per_task = 64;
    const std::size_t tasks = (in_features_ + channels_per_task - 1) / channels_per_task;
    executor.run(tasks, [&](std::size_t task) {
      // The lower triangle, in bands of rows; the longest are begun first.
      const std::size_t begin = (tasks - 1 - task) * channels_per_task;
      const std::size_t end = std::min(in_features_, begin + channels_per_task);
      Eigen::Map<Sums> band(sums_.data() + begin * in_features_, index(end - begin),
                            index(in_features_));
      band.leftCols(index(end)).noalias() +=
          inputs.middleCols(index(begin), index(end - begin)).transpose() *
          inputs.leftCols(index(end));
    });
    count_ += x.extent(0);
    check_finite(x);
  }

 private:
  using Sums = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Inputs =
      Eigen::Map<const Sums, Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

  static Eigen::Index index(std::size_t value) noexcept { return static_cast<Eigen::Index>(value); }

  void check_finite(TensorView<const float, 2> x) const {
    for (std::size_t k = 0; k < in_features_; ++k) {
      if (std::isfinite(mean_square(k))) continue;
      for (std::size_t t = 0; t < x.extent(0); ++t) {
        if (std::isfinite(x(t, k))) continue;
        throw Error(name_,
                    "calibration input at [" + std::to_string(t) + ", " + std::to_string(k) +
                        "] is not finite",
                    "check the model and its text");
      }
      throw Error(name_,
                  "calibration inputs of channel " + std::to_string(k) +
                      " are too large for their squares to be summed",
                  "scale them down");
    }
  }

  std::string name_;
  std::size_t in_features_;
  AlignedBuffer<float> sums_;  // lower triangle of the sum of xxᵀ
  std::size_t count_ = 0;
};

}  // namespace nash_swarm
