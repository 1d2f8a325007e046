#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

/// The one exception type of the library: what is wrong, where, and what to do about it.
/// `what()` reads "subject: problem; remedy", for instance
/// "h.3.mlp.c_fc.weight: NaN at [12, 7]; export the checkpoint again".
class Error : public std::runtime_error {
 public:
  /// @param subject name of the tensor, file or option that is wrong
  /// @param problem what is wrong and at which place
  /// @param remedy what to do about it; may be empty
  Error(std::string subject, std::string problem, std::string remedy = {})
      : std::runtime_error(subject + ": " + problem + (remedy.empty() ? "" : "; " + remedy)),
        subject_(std::move(subject)),
        problem_(std::move(problem)),
        remedy_(std::move(remedy)) {}

  const std::string& subject() const noexcept { return subject_; }
  const std::string& problem() const noexcept { return problem_; }
  const std::string& remedy() const noexcept { return remedy_; }

 private:
  std::string subject_;
  std::string problem_;
  std::string remedy_;
};

}  // namespace nash_swarm
