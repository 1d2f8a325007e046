#pragma once

#include <algorithm>
#include <cmath>

namespace transformer {

/// Symmetric uniform quantizer with codes −largest_code … largest_code and a level at zero
/// (mid-tread); the scale is the largest magnitude / largest_code.
class MidTreadQuantizer {
 public:
  MidTreadQuantizer(float largest_magnitude, int largest_code)
      : largest_(static_cast<float>(largest_code)), scale_(largest_magnitude / largest_) {}

  /// The decoded value of a weight; larger ones are clipped.
  float operator()(float weight) const {
    if (scale_ == 0.0f) return 0.0f;
    const float position = std::clamp(weight / scale_, -largest_, largest_);
    return scale_ * static_cast<float>(static_cast<int>(position + std::copysign(0.5f, position)));
  }

 private:
  float largest_;
  float scale_;
};

/// Symmetric uniform quantizer of 2 bits without a level at zero (mid-rise): [−m, m] is cut into
/// four equal parts, each decoded as its centre, ±m/4 or ±3m/4.
class MidRiseQuantizer {
 public:
  explicit MidRiseQuantizer(float largest_magnitude) : step_(largest_magnitude / 2.0f) {}

  /// The decoded value of a weight; larger ones are clipped.
  float operator()(float weight) const {
    const auto outer = static_cast<float>(std::abs(weight) >= step_);
    return std::copysign(step_ * (0.5f + outer), weight);
  }

 private:
  float step_;
};

}  // namespace transformer
