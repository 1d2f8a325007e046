#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/format/input_basis.hpp>

namespace nash_swarm {

/// How the rounding errors e of the earlier channels of a row move the target of the next one, so
/// that together they harm the output least (LDLQ, Chee et al. 2023, QuIP, section 3; the same as
/// GPTQ, Frantar et al. 2022): with H the damped second moments of the inputs in the basis,
/// eᵀHe = Σ_j weight_j · (e_j + Σ_{i<j} from(i)[j] · e_i)².
class ErrorFeedback {
 public:
  /// The feedback for the inputs of a matrix; with moments that have seen nothing there is none.
  ///
  /// Damping: the mean moment divided by √(inputs seen) is added to every channel, as large as the
  /// noise of moments that are estimated from so many inputs; at least 1e-4 of the mean moment, so
  /// that channels which are never used stay well-conditioned, and more where rounding has left the
  /// moments indefinite.
  /// @throws Error if the moments are those of another matrix, or those of no inputs: not finite
  /// (named by channels) or far from positive semidefinite. O(in³)
  /// @tparam Moment second moments such as InputMoment or GroupMoment
  template <class Moment>
  NASH_SWARM_KEYED ErrorFeedback(const Moment& moment, const InputBasis& basis)
      : ErrorFeedback(moment, basis, on_this_thread) {}

  /// The same, shared out by an executor; the result does not depend on it.
  template <class Moment, Executor E>
  NASH_SWARM_KEYED ErrorFeedback(const Moment& moment, const InputBasis& basis, E& executor)
      : channels_(basis.padded_features()), weight_(channels_, 1.0) {
    if (moment.in_features() != basis.in_features()) {
      throw Error(moment.name(), "moments of " + std::to_string(moment.in_features()) +
                                     " channels for a basis of " +
                                     std::to_string(basis.in_features()));
    }
    if (moment.count() == 0) return;
    const double largest = largest_mean_square(moment);
    if (largest < std::numeric_limits<double>::min()) return;  // zeros
    // In units of a power of 4, whose root is exact, float32 holds moments of any size.
    const int exponent = std::ilogb(largest) / 2 * 2;
    Moments damped = rotated(moment, basis, std::ldexp(1.0, -exponent), executor);
    const double mean = damped.trace() / static_cast<double>(channels_);
    double damping = 0.0;
    double next = std::max(1.0 / std::sqrt(static_cast<double>(moment.count())), 1e-4);
    do {
      if (damping > 1.0) {
        throw Error(moment.name(), "the moments are not positive semidefinite",
                    "gather them again, from the inputs themselves");
      }
      damped.diagonal().array() += mean * (next - damping);
      damping = std::exchange(next, 10.0 * next);
    } while (!factorise(damped, exponent, executor));
  }

  std::size_t channels() const noexcept { return channels_; }
  /// True if errors are not moved at all.
  bool none() const noexcept { return factor_.size() == 0; }
  /// What a squared error of channel j costs after feedback.
  double weight(std::size_t j) const noexcept { return weight_[j]; }
  /// What an error of channel i adds to the squares of the targets that follow, as their mean.
  double reach(std::size_t i) const noexcept { return reach_.empty() ? 0.0 : reach_[i]; }
  /// Shares of an error of channel i that add to the targets of all channels; those of j ≤ i are
  /// not to be used. Not to be asked if there is no feedback.
  const float* from(std::size_t i) const noexcept { return factor_.data() + i * channels_; }

 private:
  using Moments = Eigen::MatrixXd;

  static constexpr SerialExecutor on_this_thread{};
  /// Channels of a task.
  static constexpr std::size_t band_channels = 128;

  static Eigen::Index index(std::size_t value) noexcept { return static_cast<Eigen::Index>(value); }

  /// @throws Error for a moment that is not finite, or a negative mean square
  template <class Moment>
  NASH_SWARM_KEYED static double largest_mean_square(const Moment& moment) {
    double largest = 0.0;
    for (std::size_t a = 0; a < moment.in_features(); ++a) {
      for (std::size_t b = 0; b <= a; ++b) {
        const double value = moment(a, b);
        if (std::isfinite(value) && (a != b || value >= 0.0)) continue;
        throw Error(moment.name(),
                    "the moment of channels [" + std::to_string(a) + ", " + std::to_string(b) +
                        "] is " + std::to_string(value),
                    "check the inputs that it was gathered from");
      }
      largest = std::max(largest, moment(a, a));
    }
    return largest;
  }

  /// RᵀHR times a factor: both sides of H in the basis.
  template <class Moment, Executor E>
  NASH_SWARM_KEYED static Moments rotated(const Moment& moment, const InputBasis& basis,
                                          double factor, E& executor) {
    const std::size_t in = basis.in_features();
    const std::size_t channels = basis.padded_features();
    std::vector<float> half(in * channels);  // H·R
    detail::for_each_band(executor, 0, in, band_channels, [&](std::size_t begin, std::size_t end) {
      std::vector<float> row(in);
      for (std::size_t a = begin; a < end; ++a) {
        for (std::size_t b = 0; b < in; ++b) row[b] = static_cast<float>(factor * moment(a, b));
        to_basis_unscaled(basis, row.data(), 1, half.data() + a * channels);
      }
    });
    Moments result(index(channels), index(channels));
    const double scale =
        static_cast<double>(basis.rotation_scale()) * static_cast<double>(basis.rotation_scale());
    detail::for_each_band(executor, 0, channels, band_channels,
                          [&](std::size_t begin, std::size_t end) {
                            std::vector<float> column(channels);
                            for (std::size_t b = begin; b < end; ++b) {
                              to_basis_unscaled(basis, half.data() + b, channels, column.data());
                              for (std::size_t a = 0; a < channels; ++a) {
                                result(index(a), index(b)) = scale * static_cast<double>(column[a]);
                              }
                            }
                          });
    return 0.5 * (result + result.transpose());
  }

  /// H = UDUᵀ with U unit upper triangular: the Cholesky factor of H in reversed order.
  /// @param damped H in units of 2^exponent
  /// @return false if H is not positive definite
  template <class Matrix,
            Executor E>  // so that the decomposition is compiled only where it is used
  NASH_SWARM_KEYED bool factorise(const Matrix& damped, int exponent, E& executor) {
    Matrix lower = damped.reverse();
    if (!take_root(lower, executor)) return false;
    factor_.resize(channels_ * channels_);
    reach_.resize(channels_);
    const std::size_t last = channels_ - 1;
    for (std::size_t j = 0; j < channels_; ++j) {
      const double pivot = lower(index(last - j), index(last - j));
      weight_[j] = std::ldexp(pivot * pivot, exponent);
    }
    detail::for_each_band(
        executor, 0, channels_, band_channels, [&](std::size_t begin, std::size_t end) {
          // Column j of U holds what the errors of i < j add to the target of j.
          for (std::size_t j = begin + 1; j < channels_; ++j) {
            const double pivot = lower(index(last - j), index(last - j));
            for (std::size_t i = begin; i < std::min(j, end); ++i) {
              const double share = lower(index(last - i), index(last - j)) / pivot;
              factor_[i * channels_ + j] = static_cast<float>(share);
              reach_[i] += share * share / static_cast<double>(channels_);
            }
          }
        });
    return true;
  }

  /// Replaces the lower triangle of a matrix by its Cholesky factor, band of columns after band.
  /// @return false if the matrix is not positive definite
  template <class Matrix, Executor E>
  NASH_SWARM_KEYED static bool take_root(Matrix& matrix, E& executor) {
    const auto channels = static_cast<std::size_t>(matrix.rows());
    bool finite = true;
    for (std::size_t first = 0; first < channels && finite; first += band_channels) {
      const std::size_t next = std::min(channels, first + band_channels);
      const Eigen::Index width = index(next - first);
      const auto rows_of_band = [&](std::size_t begin, std::size_t end) {
        return matrix.block(index(begin), index(first), index(end - begin), width);
      };
      auto corner = rows_of_band(first, next);
      const Eigen::LLT<Matrix> root(corner);
      corner = root.matrixL();
      finite = root.info() == Eigen::Success && corner.allFinite();
      detail::for_each_band(executor, next, channels, band_channels,
                            [&](std::size_t begin, std::size_t end) {
                              auto below = rows_of_band(begin, end);
                              root.matrixU().template solveInPlace<Eigen::OnTheRight>(below);
                            });
      detail::for_each_band(
          executor, next, channels, band_channels, [&](std::size_t begin, std::size_t end) {
            matrix.block(index(begin), index(next), index(end - begin), index(end - next))
                .noalias() -= rows_of_band(begin, end) * rows_of_band(next, end).transpose();
          });
    }
    return finite;
  }

  std::size_t channels_;
  std::vector<double> weight_;
  std::vector<double> reach_;
  std::vector<float> factor_;  // row i: shares of an error of channel i
};

}  // namespace nash_swarm
