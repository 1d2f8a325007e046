#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include <nash_swarm/calibration/measured_headings.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {

/// Products of what the errors of single matrices do to the output of a model, gathered over text.
///
/// Every matrix is quantized alone, twice, under two seeds of its rotation. For each token the
/// output moves by z = √p ∘ (δ − p·δ), with δ the change of the logits and p the float model's
/// probabilities, so that ½ the mean of ‖z‖² is about the KL divergence. Parts of z that do not
/// depend on the seed are coherent: they alone survive in products of different seeds or matrices,
/// and only they can disturb each other systematically.
class HeadingProducts {
 public:
  NASH_SWARM_KEYED explicit HeadingProducts(std::size_t matrices)
      : matrices_(matrices),
        sum_(Sums::Zero(index(2 * matrices), index(2 * matrices))),
        square_(Sums::Zero(index(matrices), index(matrices))),
        weighted_(square_) {}

  std::size_t matrices() const noexcept { return matrices_; }
  /// Number of tokens seen.
  std::size_t tokens() const noexcept { return tokens_; }

  /// Adds a batch of consecutive tokens, the unit of the standard errors: tokens of a batch may
  /// depend on each other. O(matrices² · columns)
  /// @param z [2·matrices, columns]: the vectors z of all tokens of the batch, one after the other;
  /// rows 2m and 2m + 1 are those of matrix m under its two seeds
  /// @throws Error for a wrong shape, no token, or NaN or infinity (named by matrix)
  template <Executor E>
  NASH_SWARM_KEYED void add(TensorView<const float, 2> z, std::size_t tokens, E& executor) {
    if (z.extent(0) != 2 * matrices_ || tokens == 0) {
      throw Error("headings", std::to_string(z.extent(0)) + " rows of " + std::to_string(tokens) +
                                  " tokens for " + std::to_string(matrices_) +
                                  " matrices under two seeds");
    }
    const Vectors vectors(z.data(), index(z.extent(0)), index(z.extent(1)),
                          {index(z.stride(0)), index(z.stride(1))});
    Sums products(sum_.rows(), sum_.cols());
    constexpr std::size_t band = 16;
    executor.run((2 * matrices_ + band - 1) / band, [&](std::size_t task) {
      const std::size_t begin = task * band;
      const Eigen::Index rows = index(std::min(band, 2 * matrices_ - begin));
      products.middleRows(index(begin), rows) =
          (vectors.middleRows(index(begin), rows) * vectors.transpose()).template cast<double>();
    });
    for (std::size_t row = 0; row < 2 * matrices_; ++row) {
      if (std::isfinite(products(index(row), index(row)))) continue;
      throw Error("headings", "vectors of matrix " + std::to_string(row / 2) + " are not finite",
                  "check the model and its text");
    }
    add_products(products, static_cast<double>(tokens));
    tokens_ += tokens;
  }

  /// ½ the mean of ‖z‖² of a matrix over both seeds: about its KL divergence in nats.
  NASH_SWARM_KEYED double loss(std::size_t m) const noexcept { return 0.5 * mean_square(m); }

  /// Mean product of the coherent parts of two matrices, or of one with itself.
  NASH_SWARM_KEYED double product(std::size_t m, std::size_t n) const noexcept {
    return estimate(sum_, m, n) / static_cast<double>(tokens_);
  }

  /// Standard error of `product`: of the text, and of there being two seeds alone.
  NASH_SWARM_KEYED double standard_error(std::size_t m, std::size_t n) const noexcept {
    return std::hypot(text_error(m, n), seed_error(m, n, seed_spread()));
  }

  /// The number of pairs of matrices that disturb each other significantly.
  NASH_SWARM_KEYED std::size_t coupled_pairs() const {
    std::size_t count = 0;
    const Sums gram = significant_gram();
    for (Eigen::Index m = 0; m < gram.rows(); ++m) {
      for (Eigen::Index n = 0; n < m; ++n) count += gram(m, n) != 0.0 ? 1u : 0u;
    }
    return count;
  }

  /// The headings of the coherent parts: the exact factor of the positive semidefinite matrix next
  /// to that of the products, where pairs that are not significant count as 0.
  template <class Matrix = Eigen::MatrixXd>  // so that it is compiled only where it is used
  NASH_SWARM_KEYED MeasuredHeadings headings() const {
    const Matrix gram = significant_gram();
    std::vector<Eigen::Index> coupled;
    for (Eigen::Index m = 0; m < gram.rows(); ++m) {
      if ((gram.row(m).array() != 0.0).count() > (gram(m, m) != 0.0 ? 1 : 0)) coupled.push_back(m);
    }
    MeasuredHeadings headings;
    headings.coherent.resize(matrices_);
    if (coupled.empty()) return headings;
    const Eigen::SelfAdjointEigenSolver<Matrix> solver(gram(coupled, coupled));
    const auto& values = solver.eigenvalues();  // ascending
    const Eigen::Index rank = (values.array() > 1e-12 * values(values.size() - 1)).count();
    const Matrix factor =
        solver.eigenvectors().rightCols(rank) * values.tail(rank).cwiseSqrt().asDiagonal();
    headings.dimension = static_cast<std::size_t>(rank);
    headings.direction.resize(matrices_ * headings.dimension);
    for (std::size_t m = 0; m < matrices_; ++m) headings.direction[m * headings.dimension] = 1.0;
    for (std::size_t i = 0; i < coupled.size(); ++i) {
      const auto m = static_cast<std::size_t>(coupled[i]);
      const double length = factor.row(index(i)).norm();
      if (!(length > 0.0)) continue;
      headings.coherent[m] = std::min(1.0, length * length / mean_square(m));
      for (std::size_t k = 0; k < headings.dimension; ++k) {
        headings.direction[m * headings.dimension + k] = factor(index(i), index(k)) / length;
      }
    }
    return headings;
  }

 private:
  using Sums = Eigen::MatrixXd;
  using Vectors =
      Eigen::Map<const Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>,
                 Eigen::Unaligned, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>>;

  static Eigen::Index index(std::size_t value) noexcept { return static_cast<Eigen::Index>(value); }

  /// Product of matrix m under seed a and matrix n under seed b.
  NASH_SWARM_KEYED static double under_seeds(const Sums& products, std::size_t m, std::size_t a,
                                             std::size_t n, std::size_t b) noexcept {
    return products(index(2 * m + a), index(2 * n + b));
  }

  /// The coherent product: of one matrix across its seeds; of two matrices, whose seeds are all
  /// different, the mean over all four pairs.
  NASH_SWARM_KEYED static double estimate(const Sums& products, std::size_t m,
                                          std::size_t n) noexcept {
    if (m == n) return under_seeds(products, m, 0, m, 1);
    return 0.25 * (under_seeds(products, m, 0, n, 0) + under_seeds(products, m, 0, n, 1) +
                   under_seeds(products, m, 1, n, 0) + under_seeds(products, m, 1, n, 1));
  }

  NASH_SWARM_KEYED void add_products(const Sums& products, double tokens) {
    sum_ += products;
    for (std::size_t m = 0; m < matrices_; ++m) {
      for (std::size_t n = 0; n < matrices_; ++n) {
        const double value = estimate(products, m, n);
        square_(index(m), index(n)) += value * value;
        weighted_(index(m), index(n)) += tokens * value;
      }
    }
    token_squares_ += tokens * tokens;
    batches_ += 1.0;
  }

  NASH_SWARM_KEYED double mean_square(std::size_t m) const noexcept {
    return 0.5 * (under_seeds(sum_, m, 0, m, 0) + under_seeds(sum_, m, 1, m, 1)) /
           static_cast<double>(tokens_);
  }

  /// The error of a mean over batches of unequal size.
  NASH_SWARM_KEYED double text_error(std::size_t m, std::size_t n) const noexcept {
    if (batches_ < 2.0) return 0.0;
    const double mean = product(m, n);
    const double squares = square_(index(m), index(n)) -
                           2.0 * mean * weighted_(index(m), index(n)) +
                           mean * mean * token_squares_;
    return std::sqrt(std::max(0.0, squares) * batches_ / (batches_ - 1.0)) /
           static_cast<double>(tokens_);
  }

  /// The part of ‖z‖² that both seeds share, 0 … 1.
  NASH_SWARM_KEYED double share(std::size_t m) const noexcept {
    const double square = mean_square(m);
    return square > 0.0 ? std::clamp(product(m, m) / square, 0.0, 1.0) : 0.0;
  }

  /// Variance that the seeds give to `product`, if that of a product of two incoherent vectors of
  /// length 1 is 1: of all that two means over two seeds hold, but for coherent times coherent.
  NASH_SWARM_KEYED double seed_variance(std::size_t m, std::size_t n) const noexcept {
    const double both = share(m) * share(n);
    return m == n ? 1.0 - both : 0.25 * (1.0 + share(m)) * (1.0 + share(n)) - both;
  }

  /// Standard deviation of the cosine of two incoherent vectors, from how products vary over the
  /// four pairs of seeds; pooled over all pairs of matrices.
  NASH_SWARM_KEYED double seed_spread() const noexcept {
    double sum = 0.0;
    double expected = 0.0;
    for (std::size_t m = 0; m < matrices_; ++m) {
      for (std::size_t n = 0; n < m; ++n) {
        const double scale = std::sqrt(mean_square(m) * mean_square(n));
        if (!(scale > 0.0)) continue;
        for (const std::size_t seeds : {0u, 1u, 2u, 3u}) {
          const double value =
              under_seeds(sum_, m, seeds / 2, n, seeds % 2) / static_cast<double>(tokens_);
          const double deviation = (value - product(m, n)) / scale;
          sum += deviation * deviation;
        }
        expected += 4.0 * (1.0 - share(m) * share(n) - seed_variance(m, n));
      }
    }
    return expected > 0.0 ? std::sqrt(sum / expected) : 0.0;
  }

  NASH_SWARM_KEYED double seed_error(std::size_t m, std::size_t n, double spread) const noexcept {
    return spread * std::sqrt(mean_square(m) * mean_square(n) * seed_variance(m, n));
  }

  /// The standard errors that noise exceeds in any of so many pairs as rarely as it exceeds two in
  /// a single one.
  NASH_SWARM_KEYED static double significant_errors(std::size_t pairs) noexcept {
    const double level =
        std::erfc(std::sqrt(2.0)) / static_cast<double>(std::max<std::size_t>(1, pairs));
    double low = 2.0;
    double high = 40.0;  // beyond the least double
    for (int step = 0; step < 60; ++step) {
      const double middle = 0.5 * (low + high);
      (std::erfc(middle / std::sqrt(2.0)) > level ? low : high) = middle;
    }
    return high;
  }

  /// The products with everything that noise could have made set to 0.
  NASH_SWARM_KEYED Sums significant_gram() const {
    Sums gram = Sums::Zero(index(matrices_), index(matrices_));
    if (tokens_ == 0 || matrices_ == 0) return gram;
    const double spread = seed_spread();
    const double errors = significant_errors(matrices_ * (matrices_ - 1) / 2);
    for (std::size_t m = 0; m < matrices_; ++m) {
      gram(index(m), index(m)) = std::max(0.0, product(m, m));
      for (std::size_t n = 0; n < m; ++n) {
        const double error = std::hypot(text_error(m, n), seed_error(m, n, spread));
        if (std::abs(product(m, n)) <= errors * error) continue;
        gram(index(m), index(n)) = gram(index(n), index(m)) = product(m, n);
      }
    }
    return gram;
  }

  std::size_t matrices_;
  Sums sum_;       // [2·matrices, 2·matrices] over all tokens
  Sums square_;    // [matrices, matrices] of the batches' estimates, squared
  Sums weighted_;  // the same times the tokens of the batch
  double token_squares_ = 0.0;
  double batches_ = 0.0;
  std::size_t tokens_ = 0;
};

}  // namespace nash_swarm
