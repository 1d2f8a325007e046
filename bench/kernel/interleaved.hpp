#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace bench {

/// Seconds that a call takes.
template <class Call>
double seconds_of(Call&& call) {
  const auto begin = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The times of one of several works that are measured in turn.
class Times {
 public:
  /// Adds the mean of `repeats` calls; returns it.
  template <class Call>
  double add(std::size_t repeats, Call&& call) {
    const double seconds = seconds_of([&] {
                             for (std::size_t i = 0; i < repeats; ++i) call();
                           }) /
                           static_cast<double>(repeats);
    times_.push_back(seconds);
    return seconds;
  }

  double median() const {
    std::vector<double> sorted = times_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }

 private:
  std::vector<double> times_;
};

/// How many calls take a millisecond; one call for what takes longer.
template <class Call>
std::size_t repeats_of(Call&& call) {
  call();  // what is done once
  const double seconds = seconds_of(call);
  return seconds >= 1e-3 ? 1 : static_cast<std::size_t>(1e-3 / std::max(seconds, 1e-7)) + 1;
}

}  // namespace bench
