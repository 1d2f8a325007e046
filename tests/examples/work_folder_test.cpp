#include "transformer/work_folder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include <nash_swarm/io/safetensors_reader.hpp>

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

TEST_CASE("work folder: measurements that are not as many as they say are made again") {
  ThreadPool pool(2);
  const TemporaryFolder folder;
  const WorkFolder work(folder / "work");
  const auto calibrate = [&] {
    Quantizer quantizer(tiny_checkpoint(), Scope::lm_head, 1, pool);
    quantizer.use({&work});
    quantizer.calibrate(some_tokens(), ignore);
  };
  calibrate();
  std::uint64_t fingerprint = 0;
  {
    const nash_swarm::SafetensorsFile file(folder / "work/lone_errors.numbers.safetensors");
    std::memcpy(&fingerprint, file.at("fingerprint").bytes.data(), sizeof fingerprint);
  }
  const auto whole = work.numbers("lone_errors", fingerprint);
  REQUIRE(whole.has_value());
  std::vector<double> endless = *whole;
  endless[0] = 1e300;
  std::vector<double> longer = *whole;
  longer.push_back(1.0);
  std::vector<double> none = *whole;
  none[1] = std::nan("");
  for (const std::vector<double>& damaged : {{}, {7.0}, endless, longer, none}) {
    work.store_numbers("lone_errors", damaged, fingerprint);
    calibrate();
    CHECK(work.numbers("lone_errors", fingerprint) == whole);
  }
}

TEST_CASE("work folder: one program at a time, and only its own files are removed") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "work");
  const std::vector<std::string> halves = {
      ".calibration.0.safetensors.123.tmp", ".calibration.10.safetensors.123.2.tmp",
      ".lone_errors.numbers.safetensors.9.tmp", ".h.0.mlp.c_fc.0f1e.packed.safetensors.123.tmp"};
  const std::vector<std::string> foreign = {".notes.tmp",
                                            ".tmp",
                                            ".123.tmp",
                                            ".letter.123.tmp",
                                            ".calibration.0.safetensors.tmp",
                                            "calibration.0.safetensors.123.tmp",
                                            ".calibration.0.safetensors.a.tmp",
                                            ".calibration.0.safetensors.1.2.3.tmp"};
  for (const std::string& name : halves) write_text(folder.path() / "work" / name, "half of one");
  for (const std::string& name : foreign)
    write_text(folder.path() / "work" / name, "somebody else's");
  {
    WorkFolder work(folder / "work");
    CHECK_FALSE(work.resumes());
    for (const std::string& name : halves) CHECK_FALSE(fs::exists(folder.path() / "work" / name));
    CHECK(contains(message_of([&] { WorkFolder(folder / "work"); }), "another program works"));
    work.store_numbers("n", {1.0}, 5);
    write_text(folder / "work/notes.txt", "somebody else's");
    work.remove();
    CHECK(read_text(folder / "work/notes.txt") == "somebody else's");
    for (const std::string& name : foreign) CHECK(fs::remove(folder.path() / "work" / name));
    CHECK(files_named(folder / "work", "") == 1);
  }
  fs::remove(folder / "work/notes.txt");
  WorkFolder(folder / "work").remove();
  CHECK_FALSE(fs::exists(folder / "work"));
  write_text(folder / "file", "");
  CHECK(message_of([&] { WorkFolder(folder / "file"); }).starts_with((folder / "file").string()));
}
