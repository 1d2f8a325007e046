#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {

/// Second moments of the inputs of a matrix: the diagonal of XᵀX / n, gathered over batches.
/// Memory: 8 bytes per channel.
class InputMoment {
 public:
  /// @param name names the matrix in messages
  InputMoment(std::string name, std::size_t in_features)
      : name_(std::move(name)), sums_(in_features, 0.0) {}

  const std::string& name() const noexcept { return name_; }
  std::size_t in_features() const noexcept { return sums_.size(); }
  /// Number of inputs (tokens) seen.
  std::size_t count() const noexcept { return count_; }

  /// Mean square of one input channel; 1 for every channel as long as nothing was seen (H = I).
  double mean_square(std::size_t channel) const noexcept {
    return count_ == 0 ? 1.0 : sums_[channel] / static_cast<double>(count_);
  }

  /// Trace of H: the sum of the mean squares.
  double trace() const noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < sums_.size(); ++k) sum += mean_square(k);
    return sum;
  }

  /// Adds a batch x [tokens, in]. The result does not depend on the executor.
  /// @throws Error for a wrong shape, or NaN or infinity in x (named by index)
  template <Executor E>
  void add(TensorView<const float, 2> x, E& executor) {
    if (x.extent(1) != sums_.size()) {
      throw Error(name_, "calibration input of " + std::to_string(x.extent(1)) +
                             " channels for a matrix of " + std::to_string(sums_.size()));
    }
    constexpr std::size_t channels_per_task = 64;
    executor.run((sums_.size() + channels_per_task - 1) / channels_per_task, [&](std::size_t task) {
      const std::size_t begin = task * channels_per_task;
      const std::size_t end = std::min(sums_.size(), begin + channels_per_task);
      for (std::size_t t = 0; t < x.extent(0); ++t) {
        for (std::size_t k = begin; k < end; ++k) {
          const double value = static_cast<double>(x(t, k));
          sums_[k] += value * value;
        }
      }
    });
    count_ += x.extent(0);
    check_finite(x);
  }

 private:
  void check_finite(TensorView<const float, 2> x) const {
    for (std::size_t k = 0; k < sums_.size(); ++k) {
      if (std::isfinite(sums_[k])) continue;
      for (std::size_t t = 0; t < x.extent(0); ++t) {
        if (std::isfinite(x(t, k))) continue;
        throw Error(name_, "calibration input at [" + std::to_string(t) + ", " + std::to_string(k) +
                               "] is not finite",
                    "check the model and its text");
      }
    }
  }

  std::string name_;
  std::vector<double> sums_;
  std::size_t count_ = 0;
};

}  // namespace nash_swarm
