#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/format/panel.hpp>
#include <nash_swarm/rounding/error_feedback.hpp>

namespace nash_swarm {

/// The error feedback of every panel of a matrix.
class PanelFeedback {
 public:
  /// No feedback.
  PanelFeedback() = default;

  /// The same for all panels.
  /// @param feedback outlives this
  PanelFeedback(const ErrorFeedback& feedback) : groups_{nullptr_if_none(feedback)} {}

  PanelFeedback(const PanelFeedback&) = delete;
  PanelFeedback& operator=(const PanelFeedback&) = delete;

  /// Every group of rows has its own; a panel has that of the group of its middle row.
  /// @param groups the feedback of every group of rows of `calibration`
  PanelFeedback(std::vector<std::unique_ptr<ErrorFeedback>> groups,
                const MatrixCalibration& calibration, std::size_t out_features)
      : own_(std::move(groups)) {
    for (const auto& feedback : own_) groups_.push_back(nullptr_if_none(*feedback));
    for (std::size_t p = 0; p < panel_count(out_features); ++p) {
      const std::size_t middle = std::min(out_features - 1, p * panel_rows + panel_rows / 2);
      group_of_panel_.push_back(calibration.group_of(middle));
    }
  }

  std::size_t group_of(std::size_t panel) const noexcept {
    return group_of_panel_.empty() ? 0 : group_of_panel_[panel];
  }
  /// nullptr for none
  const ErrorFeedback* of_panel(std::size_t panel) const noexcept {
    return groups_.empty() ? nullptr : groups_[group_of(panel)];
  }
  /// The feedback of every group; nullptr where there is none.
  const std::vector<const ErrorFeedback*>& groups() const noexcept { return groups_; }

 private:
  static const ErrorFeedback* nullptr_if_none(const ErrorFeedback& feedback) noexcept {
    return feedback.none() ? nullptr : &feedback;
  }

  std::vector<std::unique_ptr<ErrorFeedback>> own_;
  std::vector<const ErrorFeedback*> groups_;
  std::vector<std::size_t> group_of_panel_;
};

inline namespace NASH_SWARM_TARGET {

/// The error feedback of a matrix for the moments of its inputs.
/// @throws Error if the moments are those of another matrix. O(groups · in³)
NASH_SWARM_FUNCTION PanelFeedback panel_feedback(const MatrixCalibration& calibration,
                                                 const InputBasis& basis, std::size_t out_features,
                                                 ExecutorView executor);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION PanelFeedback panel_feedback(const MatrixCalibration& calibration,
                                                   const InputBasis& basis,
                                                   std::size_t out_features,
                                                   ExecutorView executor) {
  std::vector<std::unique_ptr<ErrorFeedback>> groups(calibration.groups());
  if (groups.size() == 1) {
    groups[0] = std::make_unique<ErrorFeedback>(GroupMoment(calibration, 0), basis, executor);
  } else {
    executor.run(groups.size(), [&](std::size_t group) {
      SerialExecutor serial;
      ExecutorView on_this_thread(serial);
      groups[group] =
          std::make_unique<ErrorFeedback>(GroupMoment(calibration, group), basis, on_this_thread);
    });
  }
  return PanelFeedback(std::move(groups), calibration, out_features);
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
