#include <doctest/doctest.h>

#include <cstddef>
#include <cstdlib>
#include <string>

#include "bundled_model.hpp"
#include "shell.hpp"

namespace {

/// Text of `valid.txt`, as arguments.
std::string prompt_tokens() {
  std::string tokens;
  for (std::size_t i = 200; i < 230; ++i) {
    tokens += " " + nash_swarm::test::reference()["valid_first_1280_ids"][i].dump();
  }
  return tokens;
}

/// What `generate_gpt2 --temperature 0` goes on with: "ion = = \n \n The first two of the British
/// Empire was the first major in the British Empire ,". The two largest logits differ by .07 or
/// more everywhere.
constexpr const char* tokens_of_generate_gpt2 =
    "298 302 302 373 325 508 563 279 260 1076 408 1706 553 323 260 508 1254 282 260 1076 408 1706 "
    "553 263 ";

nash_swarm::test::Result run_engine(const char* engine, const char* bits) {
  ::setenv("BITS", bits, 1);
  const nash_swarm::test::Shell shell;
  const nash_swarm::test::Result result =
      shell.run("integrate/" + std::string(engine),
                "'" + nash_swarm::test::bundled.string() + "' 2 24" + prompt_tokens());
  ::unsetenv("BITS");
  CAPTURE(result.err);
  CHECK(result.exit_code == 0);
  CHECK(nash_swarm::test::contains(result.err, " tokens per second"));
  return result;
}

}  // namespace

TEST_CASE("integrate: an engine writes the same with 8 bits as with floats, and else with 2") {
  CHECK(run_engine("engine_before", "8").out == tokens_of_generate_gpt2);
  CHECK(run_engine("engine_after", "8").out == tokens_of_generate_gpt2);
  CHECK(run_engine("engine_after", "2").out != tokens_of_generate_gpt2);
}

TEST_CASE("integrate: both engines say what is wrong") {
  const nash_swarm::test::Shell shell;
  for (const char* engine : {"integrate/engine_before", "integrate/engine_after"}) {
    const nash_swarm::test::Result result = shell.run(engine, "no_folder 1 1 1");
    CHECK(result.exit_code == 1);
    CHECK(nash_swarm::test::contains(result.err, "no_folder/config.json"));
  }
}
