#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/symmetric_sums.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {

/// Second moments of the inputs x of a matrix: the mean of xxᵀ, gathered over batches.
/// Memory: 4 bytes for every pair of channels, about 2·in² in all.
class InputMoment {
 public:
  /// @param name names the matrix in messages
  NASH_SWARM_KEYED InputMoment(std::string name, std::size_t in_features)
      : name_(std::move(name)), sums_(1, in_features) {}

  /// Moments out of stored sums over `count` inputs.
  /// @throws Error for sums of several groups
  NASH_SWARM_KEYED InputMoment(std::string name, SymmetricSums sums, std::size_t count)
      : name_(std::move(name)), sums_(std::move(sums)), count_(count) {
    if (sums_.groups() != 1) throw Error(name_, "stored sums of several groups");
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t in_features() const noexcept { return sums_.channels(); }
  /// Number of inputs (tokens) seen.
  std::size_t count() const noexcept { return count_; }

  /// Mean product of two input channels; as long as nothing was seen that of white inputs (H = I).
  NASH_SWARM_KEYED double operator()(std::size_t a, std::size_t b) const noexcept {
    if (count_ == 0) return a == b ? 1.0 : 0.0;
    return static_cast<double>(sums_(0, a, b)) / static_cast<double>(count_);
  }

  /// Mean square of one input channel.
  NASH_SWARM_KEYED double mean_square(std::size_t channel) const noexcept {
    return (*this)(channel, channel);
  }

  /// Trace of H: the sum of the mean squares.
  NASH_SWARM_KEYED double trace() const noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < in_features(); ++k) sum += mean_square(k);
    return sum;
  }

  /// Adds a batch x [tokens, in], O(tokens · in²). The result does not depend on the executor.
  /// @throws Error for a wrong shape, or NaN or infinity in x (named by index), and then nothing is
  /// added; or for squares too large to be summed, and then the moments are lost
  template <Executor E>
  NASH_SWARM_KEYED void add(TensorView<const float, 2> x, E& executor) {
    if (x.extent(1) != in_features()) {
      throw Error(name_, "calibration input of " + std::to_string(x.extent(1)) +
                             " channels for a matrix of " + std::to_string(in_features()));
    }
    check_finite(x, executor);
    // The longest bands are begun first.
    executor.run(sums_.bands(),
                 [&](std::size_t task) { sums_.add_products(0, sums_.bands() - 1 - task, x); });
    count_ += x.extent(0);
    check_sums();
  }

  /// Adds what another object has seen of the same matrix; sums in float32 depend a little on the
  /// order.
  /// @throws Error for moments of another name or size
  NASH_SWARM_KEYED void merge(const InputMoment& other) {
    if (other.name() != name() || other.in_features() != in_features()) {
      throw Error(name_, "moments of " + std::to_string(in_features()) +
                             " channels cannot be merged with those of " + other.name() + ", " +
                             std::to_string(other.in_features()) + " channels");
    }
    sums_.add(other.sums_);
    count_ += other.count_;
  }

  /// The sums (not means) as they are, to be stored.
  const SymmetricSums& sums() const noexcept { return sums_; }

 private:
  template <Executor E>
  NASH_SWARM_KEYED void check_finite(TensorView<const float, 2> x, E& executor) const {
    const std::size_t in = in_features();
    std::vector<std::size_t> places(x.extent(0), in);  // of the first bad value of a row
    constexpr std::size_t band_rows = 64;              // of a task
    detail::for_each_band(executor, 0, x.extent(0), band_rows,
                          [&](std::size_t begin, std::size_t end) {
                            for (std::size_t t = begin; t < end; ++t) {
                              places[t] = 0;
                              while (places[t] < in && std::isfinite(x(t, places[t]))) ++places[t];
                            }
                          });
    for (std::size_t t = 0; t < x.extent(0); ++t) {
      if (places[t] == in) continue;
      throw Error(name_,
                  "calibration input at [" + std::to_string(t) + ", " + std::to_string(places[t]) +
                      "] is not finite",
                  "check the model and its text");
    }
  }

  NASH_SWARM_KEYED void check_sums() const {
    for (std::size_t k = 0; k < in_features(); ++k) {
      if (std::isfinite(mean_square(k))) continue;
      throw Error(name_,
                  "calibration inputs of channel " + std::to_string(k) +
                      " are too large for their squares to be summed",
                  "scale them down");
    }
  }

  std::string name_;
  SymmetricSums sums_;  // of xxᵀ
  std::size_t count_ = 0;
};

}  // namespace nash_swarm
