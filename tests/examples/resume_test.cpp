#include "gpt2/calibration.hpp"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "examples/shell.hpp"
#include "examples/tiny_model.hpp"
#include "gpt2/quantizer.hpp"
#include "io/support.hpp"

namespace {

namespace fs = std::filesystem;
using gpt2::Calibration;
using gpt2::CalibrationStore;
using gpt2::Quantizer;
using gpt2::Scope;
using gpt2::WorkFolder;
using nash_swarm::Budget;
using nash_swarm::MatrixMoments;
using nash_swarm::ThreadPool;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using nash_swarm::test::read_text;
using nash_swarm::test::Result;
using nash_swarm::test::Shell;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::write_text;
using Tokens = std::vector<std::int32_t>;

const gpt2::Checkpoint& checkpoint() {
  static const gpt2::Checkpoint opened(nash_swarm::test::tiny_model());
  return opened;
}

const gpt2::Checkpoint& two_layers() {
  static const TemporaryFolder folder;
  static const gpt2::Checkpoint opened(nash_swarm::test::write_tiny_model(folder / "two", 2));
  return opened;
}

/// Five windows of the tiny model.
Tokens some_tokens(std::uint32_t seed = 1) {
  Tokens tokens(5 * 64);
  for (std::int32_t& token : tokens) {
    seed = seed * 1664525u + 1013904223u;
    token = static_cast<std::int32_t>(seed >> 22);
  }
  return tokens;
}

/// The context of the tiny model.
constexpr std::size_t window = 64;

struct Killed : std::runtime_error {
  Killed() : std::runtime_error("killed") {}
};

/// A progress that throws at its call of that number, counted from 0.
gpt2::WeightProgress killing(std::size_t at) {
  return [at, calls = std::size_t{0}](std::size_t) mutable {
    if (calls++ == at) throw Killed();
  };
}

gpt2::WeightProgress counting(std::size_t& calls) {
  return [&calls](std::size_t) { ++calls; };
}

void ignore(std::size_t) {}

Calibration calibration(ThreadPool& pool, const gpt2::Checkpoint& model = checkpoint()) {
  return {model, gpt2::matrices_in_scope(model, Scope::all), pool};
}

void check_same(const Calibration& found, const Calibration& expected,
                const gpt2::Checkpoint& model = checkpoint()) {
  for (const auto& matrix : model.matrices()) {
    CAPTURE(matrix->name());
    const auto a = found.moments(matrix->name());
    const auto b = expected.moments(matrix->name());
    CHECK(a->inputs.count() == b->inputs.count());
    CHECK(a->gradients->sequences() == b->gradients->sequences());
    REQUIRE(a->inputs.in_features() == b->inputs.in_features());
    REQUIRE(a->gradients->groups() == b->gradients->groups());
    bool same = std::ranges::equal(a->gradients->row_squares(), b->gradients->row_squares());
    for (std::size_t i = 0; i < a->inputs.in_features(); ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        same = same && a->inputs(i, j) == b->inputs(i, j);
        for (std::size_t g = 0; g < a->gradients->groups(); ++g) {
          same = same && (*a->gradients)(g, i, j) == (*b->gradients)(g, i, j);
        }
      }
    }
    CHECK(same);
  }
}

/// The calibration in memory, without interruption.
const Calibration& whole_calibration() {
  static ThreadPool pool(2);
  static const Calibration whole = [] {
    Calibration made = calibration(pool);
    made.gather(some_tokens(), window, {}, ignore);
    return made;
  }();
  return whole;
}

std::ptrdiff_t files_named(const fs::path& folder, const std::string& part) {
  std::ptrdiff_t count = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    count += contains(entry.path().filename().string(), part) ? 1 : 0;
  }
  return count;
}

}  // namespace

TEST_CASE("resume: a calibration goes on with the next window, to the same bits") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const CalibrationStore store{&work, UINT64_MAX, 0.0};
  CHECK_THROWS_AS(calibration(pool).gather(some_tokens(), window, store, killing(2)), Killed);
  REQUIRE(fs::exists(work.calibration_path(0)));
  CHECK(nash_swarm::CalibrationFile(work.calibration_path(0)).seen() == 3);

  std::size_t calls = 0;
  Calibration resumed = calibration(pool);
  resumed.gather(some_tokens(), window, store, counting(calls));
  CHECK(calls == 3);  // the windows that were there, and two more
  CHECK(resumed.fingerprint() == whole_calibration().fingerprint());
  check_same(resumed, whole_calibration());

  calls = 0;
  Calibration again = calibration(pool);
  again.gather(some_tokens(), window, store, counting(calls));
  CHECK(calls == 1);
  check_same(again, whole_calibration());
}

TEST_CASE("resume: a calibration of another text is not taken up, and is overwritten") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const CalibrationStore store{&work, UINT64_MAX, 0.0};
  calibration(pool).gather(some_tokens(7), window, store, ignore);
  std::size_t calls = 0;
  Calibration other = calibration(pool);
  other.gather(some_tokens(), window, store, counting(calls));
  CHECK(calls == 5);
  check_same(other, whole_calibration());
  CHECK(files_named(work.path(), "calibration") == 1);
}

TEST_CASE("resume: a damaged calibration is made again") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const CalibrationStore store{&work, UINT64_MAX, 0.0};
  write_text(work.calibration_path(0), "no safetensors file at all");
  Calibration made = calibration(pool);
  made.gather(some_tokens(), window, store, ignore);
  check_same(made, whole_calibration());
}

TEST_CASE("calibration: little memory means more passes and the same moments") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const gpt2::Checkpoint& model = two_layers();
  Calibration whole = calibration(pool, model);
  whole.gather(some_tokens(), window, {}, ignore);
  const auto files_with = [&](std::uint64_t memory) {
    std::size_t calls = 0;
    Calibration passes = calibration(pool, model);
    passes.gather(some_tokens(), window, {&work, memory, 1e9}, counting(calls));
    check_same(passes, whole, model);
    // Every pass reads five windows.
    const std::ptrdiff_t files = files_named(work.path(), "calibration");
    CHECK(calls == 5 * static_cast<std::size_t>(files));
    return files;
  };
  // The moments of a layer take 2 MB, those of mlp.c_proj 1.2 MB.
  CHECK(files_with(UINT64_MAX) == 1);
  CHECK(files_with(2'500'000) == 2);
  CHECK(files_with(1'200'000) == 4);
  CHECK(files_with(1) == 9);  // every matrix alone
}

TEST_CASE("calibration: progress adds up to the weights, resumed or not") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  std::size_t weights = 0;
  for (const auto& matrix : checkpoint().matrices()) {
    weights += matrix->out_features() * matrix->in_features();
  }
  const CalibrationStore store{&work, 1, 0.0};
  CHECK_THROWS_AS(calibration(pool).gather(some_tokens(), window, store, killing(7)), Killed);
  std::size_t sum = 0;
  calibration(pool).gather(some_tokens(), window, store, [&](std::size_t part) { sum += part; });
  CHECK(sum == weights);
}

TEST_CASE("resume: a quantizer that was stopped anywhere writes the same file") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const auto run = [&](const WorkFolder* work, const fs::path& target,
                       const gpt2::WeightProgress& calibrating,
                       const gpt2::WeightProgress& packing) {
    Quantizer quantizer(checkpoint(), Scope::all, 1, pool);
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
  Quantizer other(checkpoint(), Scope::all, 1, pool);
  other.use({&work, 600'000, 0.0});
  other.calibrate(some_tokens(), ignore);
  other.write(other.plan(Budget::bits(2.0)), target, ignore);
  CHECK(files_named(work.path(), ".packed.") > 5);
  Quantizer alone(checkpoint(), Scope::all, 1, pool);
  alone.calibrate(some_tokens(), ignore);
  alone.write(alone.plan(Budget::bits(2.0)), folder / "alone", ignore);
  CHECK(read_text(target) == read_text(folder / "alone"));
}

TEST_CASE("work folder: another seed or a damaged file counts as missing") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  Quantizer quantizer(checkpoint(), Scope::lm_head, 1, pool);
  quantizer.use({&work});
  quantizer.calibrate(some_tokens(), ignore);
  const auto plan = quantizer.plan(Budget::bits(3.0));
  quantizer.write(plan, folder / "first", ignore);
  REQUIRE(files_named(work.path(), "wte.") == 1);
  for (const auto& entry : fs::directory_iterator(work.path())) {
    if (contains(entry.path().string(), "wte.")) fs::resize_file(entry.path(), 1000);
  }
  quantizer.write(plan, folder / "second", ignore);
  CHECK(read_text(folder / "second") == read_text(folder / "first"));

  Quantizer seeded(checkpoint(), Scope::lm_head, 2, pool);
  seeded.use({&work});
  seeded.calibrate(some_tokens(), ignore);
  seeded.write(seeded.plan(Budget::bits(3.0)), folder / "third", ignore);
  CHECK(files_named(work.path(), "wte.") == 2);
  CHECK(read_text(folder / "third") != read_text(folder / "first"));
}

TEST_CASE("work folder: numbers come back under their fingerprint") {
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const std::vector<double> numbers = {1.5, -2.0, 1e-300};
  CHECK_FALSE(work.numbers("n", 5).has_value());
  work.store_numbers("n", numbers, 5);
  CHECK(work.numbers("n", 5) == numbers);
  CHECK_FALSE(work.numbers("n", 6).has_value());
  write_text(folder / "work/n.numbers.safetensors", "damaged");
  CHECK_FALSE(work.numbers("n", 5).has_value());
}

TEST_CASE("work folder: one program at a time, and only its own files are removed") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "work");
  write_text(folder / "work/.calibration.0.safetensors.123.tmp", "half of one");
  {
    WorkFolder work(folder / "work");
    CHECK_FALSE(work.resumes());
    CHECK_FALSE(fs::exists(folder / "work/.calibration.0.safetensors.123.tmp"));
    CHECK(contains(message_of([&] { WorkFolder(folder / "work"); }), "another program works"));
    work.store_numbers("n", {1.0}, 5);
    write_text(folder / "work/notes.txt", "somebody else's");
    work.remove();
    CHECK(files_named(folder / "work", "") == 1);
    CHECK(read_text(folder / "work/notes.txt") == "somebody else's");
  }
  fs::remove(folder / "work/notes.txt");
  WorkFolder(folder / "work").remove();
  CHECK_FALSE(fs::exists(folder / "work"));
  write_text(folder / "file", "");
  CHECK(message_of([&] { WorkFolder(folder / "file"); }).starts_with((folder / "file").string()));
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
