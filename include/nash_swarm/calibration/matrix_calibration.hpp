#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <nash_swarm/calibration/gradient_moment.hpp>
#include <nash_swarm/calibration/input_moment.hpp>
#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// What is known of how errors of a matrix harm the model: moments of its inputs, and of the
/// gradients of its weights if there is a backward pass. Refers to both and owns neither.
class MatrixCalibration {
 public:
  /// Share of the input moments in a blend, against 1 for the gradient moments. They are of the
  /// same size once both are scaled to the same trace; gradients tell more, inputs are less noisy.
  static constexpr double input_share = 0.3;
  /// The same for the sensitivities of rows, against rows that all count alike.
  static constexpr double even_share = 0.05;

  /// Rows count alike, and share the moments of the inputs.
  MatrixCalibration(const InputMoment& inputs) : inputs_(&inputs) {}

  /// @throws Error if the moments are of different matrices
  NASH_SWARM_KEYED MatrixCalibration(const InputMoment& inputs, const GradientMoment& gradients)
      : inputs_(&inputs), gradients_(gradients.sequences() == 0 ? nullptr : &gradients) {
    if (inputs.in_features() != gradients.in_features()) {
      throw Error(inputs.name(), "moments of " + std::to_string(inputs.in_features()) +
                                     " input channels, and gradients of " +
                                     std::to_string(gradients.in_features()));
    }
  }

  const InputMoment& inputs() const noexcept { return *inputs_; }
  /// True if losses are in nats, since gradients are known.
  bool has_gradients() const noexcept { return gradients_ != nullptr; }
  /// nullptr for none
  const GradientMoment* gradients() const noexcept { return gradients_; }

  /// Whether gradients, if there are any, are those of a matrix of so many rows.
  bool fits_rows(std::size_t out_features) const noexcept {
    return !has_gradients() || gradients_->out_features() == out_features;
  }
  std::size_t groups() const noexcept { return has_gradients() ? gradients_->groups() : 1; }
  std::size_t group_of(std::size_t row) const noexcept {
    return has_gradients() ? row / gradients_->group_rows() : 0;
  }

  /// How much a row counts, on average 1 within a group.
  NASH_SWARM_KEYED double row_share(std::size_t row) const noexcept {
    if (!has_gradients()) return 1.0;
    const double mean =
        gradients_->trace(group_of(row)) / static_cast<double>(gradients_->group_rows());
    return share(gradients_->row_square(row), mean);
  }

  /// The same for all rows, as far as one half of the sequences tells.
  /// @param half 0 or 1; there must be gradients
  NASH_SWARM_KEYED std::vector<double> row_shares(std::size_t half) const {
    const std::size_t group_rows = gradients_->group_rows();
    std::vector<double> shares(gradients_->out_features());
    for (std::size_t first = 0; first < shares.size(); first += group_rows) {
      double mean = 0.0;
      for (std::size_t row = first; row < first + group_rows; ++row) {
        mean += gradients_->half_square(half, row) / static_cast<double>(group_rows);
      }
      for (std::size_t row = first; row < first + group_rows; ++row) {
        shares[row] = share(gradients_->half_square(half, row), mean);
      }
    }
    return shares;
  }

 private:
  /// Of a row whose gradients have this square, in a group where the mean is that.
  NASH_SWARM_KEYED static double share(double square, double mean) noexcept {
    return mean > 0.0 ? (square / mean + even_share) / (1.0 + even_share) : 1.0;
  }

  const InputMoment* inputs_;
  const GradientMoment* gradients_ = nullptr;
};

/// The moments of a matrix, owned.
struct MatrixMoments {
  InputMoment inputs;
  std::optional<GradientMoment> gradients;

  /// Refers to this object.
  NASH_SWARM_KEYED MatrixCalibration calibration() const {
    return gradients ? MatrixCalibration(inputs, *gradients) : MatrixCalibration(inputs);
  }
};

/// The second moments H of a group of rows: an average row's error e costs eᵀHe.
class GroupMoment {
 public:
  NASH_SWARM_KEYED GroupMoment(const MatrixCalibration& calibration, std::size_t group)
      : inputs_(&calibration.inputs()), gradients_(calibration.gradients()), group_(group) {
    if (gradients_ == nullptr) return;
    const double trace = gradients_->trace(group);
    const double inputs = inputs_->trace();
    const double blend = 1.0 + MatrixCalibration::input_share;
    const double row = 1.0 / static_cast<double>(gradients_->group_rows());
    gradient_factor_ = row / blend;
    input_factor_ =
        inputs > 0.0 ? MatrixCalibration::input_share * row * trace / inputs / blend : 0.0;
  }

  const std::string& name() const noexcept { return inputs_->name(); }
  std::size_t in_features() const noexcept { return inputs_->in_features(); }
  /// Number of tokens seen.
  std::size_t count() const noexcept {
    const bool inputs_alone = gradients_ == nullptr || inputs_->count() != 0;
    return inputs_alone ? inputs_->count() : gradients_->tokens();
  }

  NASH_SWARM_KEYED double operator()(std::size_t a, std::size_t b) const noexcept {
    const double inputs = input_factor_ * (*inputs_)(a, b);
    return gradients_ == nullptr ? inputs : inputs + gradient_factor_ * (*gradients_)(group_, a, b);
  }

  NASH_SWARM_KEYED double trace() const noexcept {
    double sum = 0.0;
    for (std::size_t k = 0; k < in_features(); ++k) sum += (*this)(k, k);
    return sum;
  }

 private:
  const InputMoment* inputs_;
  const GradientMoment* gradients_;
  std::size_t group_;
  double input_factor_ = 1.0;
  double gradient_factor_ = 0.0;
};

}  // namespace nash_swarm
