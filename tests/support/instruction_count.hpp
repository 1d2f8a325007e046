#pragma once

#include <cstddef>
#include <optional>

#if defined(__linux__)
#include <csignal>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace support {

#if defined(__linux__)
/// Keeps this process and its children on one processor: waking each other on another one, the two
/// that count take four times as long.
class OneProcessor {
 public:
  OneProcessor() {
    ::cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
    if (::sched_getaffinity(0, sizeof before_, &before_) == 0) {
      is_kept_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
    }
  }
  OneProcessor(const OneProcessor&) = delete;
  OneProcessor& operator=(const OneProcessor&) = delete;
  ~OneProcessor() {
    if (is_kept_) ::sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  ::cpu_set_t before_;
  bool is_kept_ = false;
};
#endif

/// Machine instructions of a call and of what surrounds it (some hundred, always the same), counted
/// by stepping through it in a child process. Nothing where the system does not let itself be
/// stepped through, as under an emulator.
template <class Call>
std::optional<std::size_t> count_instructions(Call&& call) {
#if defined(__linux__)
  const OneProcessor processor;
  const ::pid_t child = ::fork();
  if (child < 0) return std::nullopt;
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(1);
    ::kill(::getpid(), SIGSTOP);
    call();
    ::kill(::getpid(), SIGSTOP);
    ::_exit(0);
  }
  int status = 0;
  std::size_t count = 0;
  bool is_done = false;
  const auto next_stop = [&] { return ::waitpid(child, &status, 0) == child && WIFSTOPPED(status); };
  if (next_stop()) {
    while (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) == 0 && next_stop()) {
      if (WSTOPSIG(status) == SIGSTOP) {
        is_done = true;
        break;
      }
      ++count;
    }
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, &status, 0);
  if (is_done) return count;
#else
  static_cast<void>(call);
#endif
  return std::nullopt;
}

}  // namespace support
