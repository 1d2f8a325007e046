#include "transformer/quantizer.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "examples/resume_support.hpp"
#include "examples/shell.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::Budget;
using nash_swarm::ThreadPool;
using transformer::Quantizer;
using transformer::Scope;
using transformer::WorkFolder;
using namespace nash_swarm::test;

}  // namespace

TEST_CASE("resume: a quantizer that was stopped anywhere writes the same file") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const auto run = [&](const WorkFolder* work, const fs::path& target,
                       const transformer::WeightProgress& calibrating,
                       const transformer::WeightProgress& packing) {
    Quantizer quantizer(tiny_checkpoint(), Scope::all, 1, pool);
    if (work != nullptr) quantizer.use({work, 600'000, 0.0});
    quantizer.calibrate(some_tokens(), calibrating);
    quantizer.write(quantizer.plan(Budget::bits(3.0)), target, packing);
  };
  run(nullptr, folder / "whole", ignore, ignore);
  const WorkFolder work(folder / "work");
  const fs::path target = folder / "resumed";
  CHECK_THROWS_AS(run(&work, target, killing(1), ignore), Killed);
  CHECK_THROWS_AS(run(&work, target, killing(4), ignore), Killed);
  CHECK_THROWS_AS(run(&work, target, ignore, killing(2)), Killed);
  CHECK_FALSE(fs::exists(target));
  CHECK(files_named(work.path(), ".packed.") == 3);
  CHECK(files_named(work.path(), "lone_errors") == 1);

  // What is finished is not made again.
  const auto packed_at = [&] {
    std::vector<fs::file_time_type> times;
    for (const auto& entry : fs::directory_iterator(work.path())) {
      if (contains(entry.path().string(), ".packed.")) times.push_back(entry.last_write_time());
    }
    std::ranges::sort(times);
    times.resize(3);
    return times;
  };
  const auto before = packed_at();
  std::size_t calls = 0;
  run(&work, target, ignore, counting(calls));
  CHECK(packed_at() == before);
  CHECK(calls == 5);
  CHECK(read_text(target) == read_text(folder / "whole"));

  // Another budget takes the calibration, and other matrices.
  Quantizer other(tiny_checkpoint(), Scope::all, 1, pool);
  other.use({&work, 600'000, 0.0});
  other.calibrate(some_tokens(), ignore);
  other.write(other.plan(Budget::bits(2.0)), target, ignore);
  CHECK(files_named(work.path(), ".packed.") > 5);
  Quantizer alone(tiny_checkpoint(), Scope::all, 1, pool);
  alone.calibrate(some_tokens(), ignore);
  alone.write(alone.plan(Budget::bits(2.0)), folder / "alone", ignore);
  CHECK(read_text(target) == read_text(folder / "alone"));
}

TEST_CASE("resume: a program that is killed goes on and writes the same bytes") {
  const Shell shell;
  const std::string flags = "--max-tokens 64 --calibration-tokens 320 --model '" +
                            nash_swarm::test::tiny_model().string() + "' --bits 3 ";
  REQUIRE(shell.run("quantize_gpt2", flags + "--out whole").exit_code == 0);
  CHECK_FALSE(fs::exists(shell.folder() / "whole.work"));

  // The shell tells its process and becomes the program, which is killed when it has packed a
  // matrix.
  const fs::path folder = shell.folder().path();
  const fs::path work = folder / "killed.work";
  const std::string start = "cd '" + folder.string() + "' && echo $$ >pid && exec '" +
                            NASH_SWARM_EXAMPLE_PROGRAMS "/quantize_gpt2' " + flags +
                            "--out killed >/dev/null 2>&1 </dev/null";
  std::thread program([&] { static_cast<void>(std::system(start.c_str())); });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(10);
  while (std::chrono::steady_clock::now() < deadline && !fs::exists(folder / "killed") &&
         (!fs::exists(work) || files_named(work, ".packed.safetensors") == 0)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const int process = std::atoi(read_text(folder / "pid").c_str());
  if (process > 0) ::kill(process, SIGKILL);
  program.join();
  REQUIRE(process > 0);
  REQUIRE_FALSE(fs::exists(folder / "killed"));
  REQUIRE(fs::exists(work));

  const Result resumed = shell.run("quantize_gpt2", flags + "--out killed");
  CHECK(resumed.exit_code == 0);
  CHECK(contains(resumed.err, "going on from killed.work"));
  CHECK(read_text(folder / "killed") == read_text(folder / "whole"));
  CHECK_FALSE(fs::exists(work));

  // A folder that was asked for stays, and serves other budgets.
  const std::string kept = flags + "--work kept --out ";
  REQUIRE(shell.run("quantize_gpt2", kept + "first").exit_code == 0);
  CHECK(fs::exists(folder / "kept"));
  CHECK(contains(shell.run("quantize_gpt2", kept + "second").err, "going on from kept"));
  CHECK(read_text(folder / "second") == read_text(folder / "whole"));
}
