#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/format/panel.hpp>
#include <nash_swarm/format/row_order.hpp>
#include <nash_swarm/rounding/error_feedback.hpp>

namespace nash_swarm {

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// The feedback of every group of rows of a matrix.
NASH_SWARM_FUNCTION std::vector<std::unique_ptr<ErrorFeedback>> group_feedback(
    const MatrixCalibration& calibration, const InputBasis& basis, ExecutorView executor);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION std::vector<std::unique_ptr<ErrorFeedback>> group_feedback(
    const MatrixCalibration& calibration, const InputBasis& basis, ExecutorView executor) {
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
  return groups;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

/// The error feedback of every panel of a matrix.
class PanelFeedback {
 public:
  /// No feedback.
  PanelFeedback() = default;

  /// The same for all panels.
  /// @param feedback outlives this
  NASH_SWARM_KEYED PanelFeedback(const ErrorFeedback& feedback)
      : groups_{nullptr_if_none(feedback)} {}

  PanelFeedback(const PanelFeedback&) = delete;
  PanelFeedback& operator=(const PanelFeedback&) = delete;

  /// Every group of rows has its own; a panel has that of the group of its middle row.
  /// @param name names the matrix in messages
  /// @param order of the rows in the panels
  /// @throws Error if moments or order are those of another matrix. O(groups · in³)
  NASH_SWARM_FUNCTION NASH_SWARM_KEYED PanelFeedback(
      const std::string& name, const MatrixCalibration& calibration, const InputBasis& basis,
      std::size_t out_features, ExecutorView executor, const RowOrder& order = {}) {
    const auto refuse = [&](const std::string& what, std::size_t rows) {
      throw Error(name, what + " of " + std::to_string(rows) + " rows for a matrix of " +
                            std::to_string(out_features));
    };
    if (!calibration.fits_rows(out_features)) {
      refuse("gradients", calibration.gradients()->out_features());
    }
    if (!order.fits(out_features)) refuse("an order", order.size());
    own_ = detail::group_feedback(calibration, basis, executor);
    for (const auto& feedback : own_) groups_.push_back(nullptr_if_none(*feedback));
    for (std::size_t p = 0; p < panel_count(out_features); ++p) {
      const std::size_t middle = std::min(out_features - 1, p * panel_rows + panel_rows / 2);
      group_of_panel_.push_back(calibration.group_of(order.row_at(middle)));
    }
  }

  /// Whether it is for a matrix of so many panels.
  bool fits(std::size_t panels) const noexcept {
    return group_of_panel_.empty() || group_of_panel_.size() == panels;
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

}  // namespace nash_swarm
