#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#if !defined(__cpp_exceptions)
#include <atomic>
#include <cstdio>
#include <exception>
#endif

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// The one type of error of the library: what is wrong, where, and what to do about it.
/// `what()` reads "subject: problem; remedy", for instance
/// "h.3.mlp.c_fc.weight: NaN at [12, 7]; export the checkpoint again".
class Error : public std::runtime_error {
 public:
  /// @param subject name of the tensor, file or option that is wrong
  /// @param problem what is wrong and at which place
  /// @param remedy what to do about it; may be empty
  NASH_SWARM_KEYED Error(std::string subject, std::string problem, std::string remedy = {})
      : std::runtime_error(subject + ": " + problem + (remedy.empty() ? "" : "; " + remedy)),
        subject_(std::move(subject)),
        problem_(std::move(problem)),
        remedy_(std::move(remedy)) {}
  NASH_SWARM_KEYED Error(const Error&) = default;
  NASH_SWARM_KEYED Error(Error&&) = default;
  NASH_SWARM_KEYED Error& operator=(const Error&) = default;
  NASH_SWARM_KEYED Error& operator=(Error&&) = default;

  const std::string& subject() const noexcept { return subject_; }
  const std::string& problem() const noexcept { return problem_; }
  const std::string& remedy() const noexcept { return remedy_; }

 private:
  std::string subject_;
  std::string problem_;
  std::string remedy_;
};

// Errors are thrown. A file that includes matmul.hpp may be compiled without exceptions, if all of
// the program's files that include the library are: an error is then told to a handler and ends the
// program. Functions named try_… return errors either way. (Memory that runs out, or threads, end a
// program without exceptions in any case.)

#if !defined(__cpp_exceptions)

/// Is told of the error that is about to end the program; may be called by any thread.
using ErrorHandler = void (*)(const Error&);

namespace detail {
inline void print_error(const Error& error) { std::fprintf(stderr, "%s\n", error.what()); }
inline std::atomic<ErrorHandler> error_handler = &print_error;
}  // namespace detail

/// Sets who is told of errors instead of stderr; only in programs without exceptions.
/// @param handler not null; if it returns, std::terminate is called
/// @returns the one before
inline ErrorHandler set_error_handler(ErrorHandler handler) noexcept {
  return detail::error_handler.exchange(handler);
}

#endif

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Throws the error; without exceptions tells the handler and terminates.
[[noreturn, gnu::cold, gnu::noinline]] inline void raise(const Error& error) {
#if defined(__cpp_exceptions)
  throw error;
#else
  error_handler.load()(error);
  std::terminate();
#endif
}

/// Raises the error that a check has found, if it has.
inline void raise_if(const std::optional<Error>& error) {
  if (error) raise(*error);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
