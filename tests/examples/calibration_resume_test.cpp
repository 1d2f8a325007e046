#include "transformer/calibration.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "examples/resume_support.hpp"
#include "transformer/scope.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::ThreadPool;
using transformer::Calibration;
using transformer::CalibrationStore;
using transformer::WorkFolder;
using namespace nash_swarm::test;

const transformer::Checkpoint& two_layers() {
  static const TemporaryFolder folder;
  static const transformer::Checkpoint opened(
      nash_swarm::test::write_tiny_model(folder / "two", 2));
  return opened;
}

Calibration calibration(ThreadPool& pool,
                        const transformer::Checkpoint& model = tiny_checkpoint()) {
  return {model, transformer::matrices_in_scope(model, transformer::Scope::all), pool};
}

void check_same(const Calibration& found, const Calibration& expected,
                const transformer::Checkpoint& model = tiny_checkpoint()) {
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
    made.gather(some_tokens(), tiny_context, {}, ignore);
    return made;
  }();
  return whole;
}

}  // namespace

TEST_CASE("resume: a calibration goes on with the next window, to the same bits") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const CalibrationStore store{&work, UINT64_MAX, 0.0};
  CHECK_THROWS_AS(calibration(pool).gather(some_tokens(), tiny_context, store, killing(2)), Killed);
  REQUIRE(fs::exists(work.calibration_path(0)));
  CHECK(nash_swarm::CalibrationFile(work.calibration_path(0)).seen() == 3);

  std::size_t calls = 0;
  Calibration resumed = calibration(pool);
  resumed.gather(some_tokens(), tiny_context, store, counting(calls));
  CHECK(calls == 3);  // the windows that were there, and two more
  CHECK(resumed.fingerprint() == whole_calibration().fingerprint());
  check_same(resumed, whole_calibration());

  calls = 0;
  Calibration again = calibration(pool);
  again.gather(some_tokens(), tiny_context, store, counting(calls));
  CHECK(calls == 1);
  check_same(again, whole_calibration());
}

TEST_CASE("resume: a calibration of another text is not taken up, and is overwritten") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const CalibrationStore store{&work, UINT64_MAX, 0.0};
  calibration(pool).gather(some_tokens(7), tiny_context, store, ignore);
  std::size_t calls = 0;
  Calibration other = calibration(pool);
  other.gather(some_tokens(), tiny_context, store, counting(calls));
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
  made.gather(some_tokens(), tiny_context, store, ignore);
  check_same(made, whole_calibration());
}

TEST_CASE("resume: a calibration that lacks what its fingerprint stands for is made again") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const CalibrationStore store{&work, UINT64_MAX, 0.0};
  calibration(pool).gather(some_tokens(), tiny_context, store, ignore);
  const fs::path path = work.calibration_path(0);
  const std::string stated =
      nash_swarm::SafetensorsFile(path).metadata().at("nash_swarm.fingerprint");
  const std::uint64_t fingerprint = std::stoull(stated, nullptr, 16);
  using Change = std::function<void(std::vector<nash_swarm::MatrixMoments>&, std::uint64_t & seen)>;
  const std::vector<Change> changes = {
      [](auto& moments, auto&) { moments.back().gradients.reset(); },
      [](auto& moments, auto&) { moments.pop_back(); }, [](auto&, auto& seen) { seen = 3; },
      [](auto& moments, auto&) {
        const std::string name = moments[0].inputs.name();
        moments[0] = {nash_swarm::InputMoment(name, 64),
                      nash_swarm::GradientMoment(name, 32, 64, 32)};
      }};
  for (const Change& change : changes) {
    std::vector<nash_swarm::MatrixMoments> moments;
    const nash_swarm::CalibrationFile whole(path);
    for (const std::string& name : whole.names()) moments.push_back(whole.moments(name));
    std::uint64_t seen = whole.seen();
    REQUIRE(whole.has_fingerprint(fingerprint));
    change(moments, seen);
    std::vector<const nash_swarm::MatrixMoments*> views;
    for (const auto& matrix : moments) views.push_back(&matrix);
    nash_swarm::write_calibration(path, views, fingerprint, seen);
    Calibration made = calibration(pool);
    made.gather(some_tokens(), tiny_context, store, ignore);
    check_same(made, whole_calibration());
  }
}

TEST_CASE("calibration: little memory means more passes and the same moments") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const transformer::Checkpoint& model = two_layers();
  Calibration whole = calibration(pool, model);
  whole.gather(some_tokens(), tiny_context, {}, ignore);
  const auto files_with = [&](std::uint64_t memory) {
    std::size_t calls = 0;
    Calibration passes = calibration(pool, model);
    passes.gather(some_tokens(), tiny_context, {&work, memory, 1e9}, counting(calls));
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
  for (const auto& matrix : tiny_checkpoint().matrices()) {
    weights += matrix->out_features() * matrix->in_features();
  }
  const CalibrationStore store{&work, 1, 0.0};
  CHECK_THROWS_AS(calibration(pool).gather(some_tokens(), tiny_context, store, killing(7)), Killed);
  std::size_t sum = 0;
  calibration(pool).gather(some_tokens(), tiny_context, store,
                           [&](std::size_t part) { sum += part; });
  CHECK(sum == weights);
}
