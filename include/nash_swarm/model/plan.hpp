#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/format/matrix_plan.hpp>
#include <nash_swarm/game/certificate.hpp>

namespace nash_swarm {

/// Formats for every cell of a model, with the certificate of the game that decided them.
class Plan {
 public:
  NASH_SWARM_KEYED Plan(std::vector<MatrixPlan> matrices, Certificate certificate)
      : matrices_(std::move(matrices)), certificate_(std::move(certificate)) {}

  const std::vector<MatrixPlan>& matrices() const noexcept { return matrices_; }
  const Certificate& certificate() const noexcept { return certificate_; }
  /// Expected loss of the model under this plan.
  double predicted_loss() const noexcept { return certificate_.loss; }

  /// @throws Error if the plan has no matrix of that name
  NASH_SWARM_KEYED const MatrixPlan& operator[](std::string_view name) const {
    const auto found = std::find_if(matrices_.begin(), matrices_.end(),
                                    [&](const MatrixPlan& matrix) { return matrix.name == name; });
    if (found == matrices_.end()) throw Error(std::string(name), "not in the plan");
    return *found;
  }

 private:
  std::vector<MatrixPlan> matrices_;
  Certificate certificate_;
};

}  // namespace nash_swarm
