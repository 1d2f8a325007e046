#include "transformer/work_folder.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <vector>

#include "examples/resume_support.hpp"
#include "transformer/quantizer.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::Budget;
using nash_swarm::ThreadPool;
using transformer::Quantizer;
using transformer::Scope;
using transformer::WorkFolder;
using namespace nash_swarm::test;

}  // namespace

TEST_CASE("work folder: another seed or a damaged file counts as missing") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  Quantizer quantizer(tiny_checkpoint(), Scope::lm_head, 1, pool);
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

  Quantizer seeded(tiny_checkpoint(), Scope::lm_head, 2, pool);
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
