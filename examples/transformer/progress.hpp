#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <mutex>
#include <string>

namespace transformer {

/// Tells a user how far a program is, stage by stage: a bar with percent and remaining time on a
/// terminal, elsewhere a plain line when a stage begins and one when it ends. All members may be
/// called from several threads at once.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  /// Writes to standard error.
  Progress();
  /// @param terminal true to draw a bar
  /// @param now what to take the time from
  Progress(std::ostream& out, bool terminal, std::function<Clock::time_point()> now = &Clock::now);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  /// Leaves the line of a stage that was not finished, so that a message can follow.
  ~Progress();

  /// Finishes the running stage, if any, and begins one that takes `total` steps of any kind.
  void stage(std::string name, std::size_t total);
  /// Counts steps that are done; draws the bar at most ten times a second.
  void advance(std::size_t amount);
  /// Ends the running stage, if any, and says how long it took.
  void finish();

 private:
  void end_stage();
  void draw(const std::string& line);
  double elapsed_seconds() const;

  std::ostream& out_;
  bool terminal_;
  std::function<Clock::time_point()> now_;
  std::mutex mutex_;
  bool running_ = false;
  std::string name_;
  std::size_t total_ = 0;
  std::size_t done_ = 0;
  std::size_t drawn_length_ = 0;
  Clock::time_point begin_;
  Clock::time_point drawn_at_;
};

}  // namespace transformer
