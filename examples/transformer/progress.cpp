#include "transformer/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <utility>

namespace transformer {
namespace {

constexpr std::chrono::milliseconds between_drawings{100};
constexpr std::size_t bar_length = 24;

/// "1:02:03" or "2:03".
std::string clock_text(double seconds) {
  const auto whole = static_cast<unsigned long long>(std::max(0.0, std::round(seconds)));
  const unsigned long long minutes = whole / 60;
  char text[64];
  if (minutes >= 60) {
    std::snprintf(text, sizeof text, "%llu:%02llu:%02llu", minutes / 60, minutes % 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%llu:%02llu", minutes, whole % 60);
  }
  return text;
}

std::string seconds_text(double seconds) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

/// "name [######------------------]  25 %"
std::string bar_text(const std::string& name, double share) {
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(bar_length));
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3d %%", static_cast<int>(100.0 * share));
  return name + " [" + std::string(filled, '#') + std::string(bar_length - filled, '-') + "] " +
         percent;
}

}  // namespace

Progress::Progress() : Progress(std::cerr, ::isatty(STDERR_FILENO) == 1) {}

Progress::Progress(std::ostream& out, bool terminal, std::function<Clock::time_point()> now)
    : out_(out), terminal_(terminal), now_(std::move(now)) {}

Progress::~Progress() {
  if (running_ && terminal_) out_ << std::endl;
}

void Progress::stage(std::string name, std::size_t total) {
  const std::lock_guard lock(mutex_);
  end_stage();
  running_ = true;
  name_ = std::move(name);
  total_ = total;
  done_ = 0;
  begin_ = drawn_at_ = now_();
  if (terminal_) {
    draw(bar_text(name_, 0.0));
  } else {
    out_ << name_ << " ..." << std::endl;
  }
}

void Progress::advance(std::size_t amount) {
  const std::lock_guard lock(mutex_);
  if (!running_) return;
  done_ += std::min(amount, total_ - done_);
  if (!terminal_ || done_ == 0) return;
  const Clock::time_point time = now_();
  if (time - drawn_at_ < between_drawings) return;
  drawn_at_ = time;
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  const double remaining = elapsed_seconds() * (1.0 / share - 1.0);
  draw(bar_text(name_, share) + ", " + clock_text(remaining) + " left");
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  end_stage();
}

void Progress::end_stage() {
  if (!running_) return;
  running_ = false;
  if (terminal_) {
    draw(bar_text(name_, 1.0) + ", " + seconds_text(elapsed_seconds()));
    out_ << std::endl;
    drawn_length_ = 0;
  } else {
    out_ << name_ << ": " << seconds_text(elapsed_seconds()) << std::endl;
  }
}

/// Writes over the line that was drawn before.
void Progress::draw(const std::string& line) {
  const std::size_t rest = drawn_length_ > line.size() ? drawn_length_ - line.size() : 0;
  out_ << '\r' << line << std::string(rest, ' ') << std::flush;
  drawn_length_ = line.size();
}

double Progress::elapsed_seconds() const {
  return std::chrono::duration<double>(now_() - begin_).count();
}

}  // namespace transformer
