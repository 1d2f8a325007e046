#pragma once

#include <algorithm>

namespace transformer {

/// A plan that was measured: the loss that the game expects of it, and the KLD, both in nats.
struct MeasuredPlan {
  double expected = 0.0;
  double kld = 0.0;
};

/// The KLD of a plan as a function of the loss L that the game expects of it: K₀ + a·L + b·L².
///
/// K₀ is what 8-bit activations cost whatever the weights. a is above 1 where the calibration has
/// flattered itself: feedback fits errors to the very text that tells what they cost. b is what
/// single small errors cannot tell: what is large harms more than in proportion, and matrices
/// disturb each other. (Bundled model, 7,936 held-out tokens, decoded plans of 2, 2.5, 3 and 4
/// bits: KLD / L = 1.423, 1.219, 1.131, 1.070; the line through the first and the third gives 1.213
/// and 1.078 for the others.) It rises with L, so the plan of least L has the least KLD too.
class Prediction {
 public:
  /// What the game expects is what will be measured.
  Prediction() = default;

  /// Fits all three to two plans and to one that has lost nothing but by its activations.
  /// @param unrounded KLD of the model with unrounded weights
  /// @param fine expects a loss above 0
  /// @param coarse expects more than `fine`, or is the same plan
  Prediction(double unrounded, const MeasuredPlan& fine, const MeasuredPlan& coarse)
      : constant_(unrounded) {
    const auto slope = [&](const MeasuredPlan& plan) {
      return std::max(0.0, plan.kld - unrounded) / plan.expected;
    };
    const double apart = coarse.expected - fine.expected;
    if (apart > 0.0) {
      // No curve falls, nor bends so much that small losses would cost nothing.
      const double steepest = slope(fine) / fine.expected;
      quadratic_ = std::clamp((slope(coarse) - slope(fine)) / apart, 0.0, steepest);
    }
    linear_ = slope(fine) - quadratic_ * fine.expected;
  }

  double operator()(double expected) const noexcept {
    return constant_ + expected * (linear_ + quadratic_ * expected);
  }

 private:
  double constant_ = 0.0;
  double linear_ = 1.0;
  double quadratic_ = 0.0;
};

}  // namespace transformer
