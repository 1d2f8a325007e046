#pragma once

#include <cstddef>
#include <optional>

#if defined(__linux__) && defined(__x86_64__)
#include <x86intrin.h>
#include <csignal>
#endif

namespace support {

#if defined(__linux__) && defined(__x86_64__)
/// While it lives, this thread is interrupted after every instruction. Debuggers step so from
/// outside, which some systems forbid; the flag is every program's own.
class SingleSteps {
 public:
  SingleSteps() {
    count_ = 0;
    struct sigaction counting = {};
    counting.sa_handler = [](int) { count_ = count_ + 1; };
    ::sigaction(SIGTRAP, &counting, &before_);
    __writeeflags(__readeflags() | trap_flag);
  }
  SingleSteps(const SingleSteps&) = delete;
  SingleSteps& operator=(const SingleSteps&) = delete;
  ~SingleSteps() {
    __writeeflags(__readeflags() & ~trap_flag);
    ::sigaction(SIGTRAP, &before_, nullptr);
  }

  /// Of the one that lived last.
  static std::size_t count() { return count_; }

 private:
  static constexpr auto trap_flag = decltype(__readeflags()){0x100};
  static inline volatile std::size_t count_ = 0;
  struct sigaction before_ = {};
};
#endif

/// Machine instructions of a call and of what surrounds it (a few, always the same). Nothing where
/// the system does not let a program step through itself.
template <class Call>
std::optional<std::size_t> count_instructions(Call&& call) {
#if defined(__linux__) && defined(__x86_64__)
  {
    const SingleSteps steps;
    call();
  }
  if (SingleSteps::count() > 0) return SingleSteps::count();
#else
  static_cast<void>(call);
#endif
  return std::nullopt;
}

}  // namespace support
