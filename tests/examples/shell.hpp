#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "io/support.hpp"

namespace nash_swarm::test {

constexpr int done = 0;
constexpr int bad_input = 2;

struct Result {
  int exit_code = -1;
  std::string out;
  std::string err;
};

/// Runs an example program in a folder of its own, where its files go.
class Shell {
 public:
  Result run(const std::string& program, const std::string& arguments) const {
    const std::string command = "cd '" + folder_.path().string() +
                                "' && '" NASH_SWARM_EXAMPLE_PROGRAMS "/" + program + "' " +
                                arguments + " >stdout.txt 2>stderr.txt </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(folder_ / "stdout.txt"),
            read_text(folder_ / "stderr.txt")};
  }
  /// The message of a call that must be refused and leave no file behind.
  std::string refused(const std::string& program, const std::string& arguments) const {
    const std::ptrdiff_t before = entries();
    const Result result = run(program, arguments);
    CAPTURE(arguments);
    CAPTURE(result.err);
    CHECK(result.exit_code == bad_input);
    CHECK(entries() == before);
    return result.err;
  }
  const TemporaryFolder& folder() const { return folder_; }

 private:
  std::ptrdiff_t entries() const {
    return folder_.entries() - (std::filesystem::exists(folder_ / "stdout.txt") ? 2 : 0);
  }

  TemporaryFolder folder_;
};

}  // namespace nash_swarm::test
