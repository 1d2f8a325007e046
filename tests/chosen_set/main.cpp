// Succeeds if NASH_SWARM_INSTRUCTION_SET chooses every set of this machine by its name, and if
// products are refused where it names another one. A process asks for it once: so every name has a
// process of its own.
#include <nash_swarm/matmul.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/instruction_sets.hpp"
#include "support/random_matrix.hpp"

namespace ns = nash_swarm;

namespace {

constexpr const char* variable = "NASH_SWARM_INSTRUCTION_SET";

/// The set that a product is made with in this process, or the error.
std::string chosen() {
  constexpr std::size_t channels = 64;
  const ns::PackedMatrix matrix =
      support::mixed_matrix(ns::panel_rows, support::make_basis(channels, 0, false), 1);
  const std::vector<float> x(channels, 1.0f);
  std::vector<float> y(ns::panel_rows);
  ns::SerialExecutor serial;
  const auto error =
      ns::try_matmul(matrix, ns::TensorView<const float, 2>(x.data(), {1, channels}),
                     ns::TensorView<float, 2>(y.data(), {1, ns::panel_rows}), serial);
  return error ? error->what() : support::name_of(ns::default_instruction_set());
}

/// What `chosen` has to be where the variable has that value.
std::string expected_of(const std::string& value) {
  std::string known;
  for (const ns::InstructionSet set : support::supported_instruction_sets()) {
    const std::string name = support::name_of(set);
    if (name == value) return name;
    known += (known.empty() ? "" : ", ") + name;
  }
  if (value.empty()) return support::name_of(support::supported_instruction_sets().back());
  return std::string(variable) + ": this machine has no \"" + value + "\"; use " + known;
}

/// The number of failures of a process of its own with that value.
int failures_of(const std::string& value) {
  std::fflush(stdout);
  const pid_t process = fork();
  if (process == 0) {
    setenv(variable, value.c_str(), 1);
    const std::string expected = expected_of(value);
    const std::string found = chosen();
    std::printf("\"%s\": %s\n", value.c_str(), found.c_str());
    if (found != expected) std::printf("  but expected: %s\n", expected.c_str());
    std::exit(found == expected ? 0 : 1);
  }
  int status = 1;
  return waitpid(process, &status, 0) == process && status == 0 ? 0 : 1;
}

}  // namespace

int main() {
  int failures = failures_of("") + failures_of("avx513");
  for (const ns::InstructionSetName& entry : ns::instruction_sets) {
    failures += failures_of(std::string(entry.name));
  }
  return failures;
}
