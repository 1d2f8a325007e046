#pragma once

#include <optional>
#include <utility>

#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// A value, or the error for which there is none; std::expected of C++23, as far as it is needed.
template <class T>
class [[nodiscard]] Result {
 public:
  // Implicit, so that functions return either.
  NASH_SWARM_KEYED Result(T value) : value_(std::move(value)) {}
  NASH_SWARM_KEYED Result(Error error) : error_(std::move(error)) {}
  NASH_SWARM_KEYED_COPIES(Result);

  /// True if there is a value.
  explicit operator bool() const noexcept { return value_.has_value(); }

  /// The value, if there is one.
  T& operator*() & noexcept { return *value_; }
  const T& operator*() const& noexcept { return *value_; }
  T&& operator*() && noexcept { return *std::move(value_); }
  T* operator->() noexcept { return &*value_; }
  const T* operator->() const noexcept { return &*value_; }

  /// The error, if there is no value.
  const Error& error() const noexcept { return *error_; }

 private:
  std::optional<T> value_;
  std::optional<Error> error_;
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

template <class T>
T value_or_raise(Result<T> result) {
  if (!result) raise(result.error());
  return *std::move(result);
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
