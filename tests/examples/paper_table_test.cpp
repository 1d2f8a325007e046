#include "transformer/paper_table.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/tiny_model.hpp"
#include "io/support.hpp"
#include "transformer/evaluation_text.hpp"
#include "transformer/text_file.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using nash_swarm::test::read_text;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::write_text;
using transformer::LossChange;

transformer::PaperSetting small_setting(const fs::path& text) {
  transformer::PaperSetting setting;
  setting.text = text;
  setting.calibration = text;
  setting.samples = 3;
  setting.calibration_tokens = 64;
  return setting;
}

}  // namespace

TEST_CASE("loss change: percent of the mean, interval of the paired differences") {
  const LossChange change = transformer::loss_change({4.0, 6.0, 8.0, 2.0}, {4.1, 6.3, 8.1, 2.3});
  CHECK(change.percent == doctest::Approx(4.0));  // 0.8 of 20
  // Differences .1, .3, .1, .3: variance .04 / 3, standard error of the sum √(4 · .04 / 3).
  const double half = 1.96 * std::sqrt(4.0 * 0.04 / 3.0) / 20.0 * 100.0;
  CHECK(change.low == doctest::Approx(4.0 - half));
  CHECK(change.high == doctest::Approx(4.0 + half));

  // Texts differ much, all changes are the same: pairing takes the texts' spread out.
  const LossChange even = transformer::loss_change({1.0, 9.0}, {1.1, 9.1});
  CHECK(even.percent == doctest::Approx(2.0));
  CHECK(even.high - even.low < 1e-9);
  CHECK(std::isinf(transformer::loss_change({1.0}, {2.0}).high));
}

TEST_CASE("loss change: sums with padding and without") {
  transformer::EvaluationText text;
  text.windows = {{{1, 2, 3}, {2, 3, 4}, 0}, {{1, 0, 0}, {0, 0, 0}, 2}};
  transformer::Evaluation evaluation;
  evaluation.window_losses = {2.0, 5.0};
  evaluation.padding_losses = {0.0, 11.0};
  const transformer::WindowSums sums = transformer::window_sums(text, evaluation);
  CHECK(sums.all == std::vector<double>{6.0, 15.0});
  CHECK(sums.unpadded == std::vector<double>{6.0, 4.0});
}

TEST_CASE("paper table: rows, sizes, what is scored, and nothing left behind") {
  const TemporaryFolder folder;
  const fs::path text = folder / "text.txt";
  write_text(
      text,
      transformer::read_text(fs::path(NASH_SWARM_EXAMPLE_DATA) / "valid.txt").substr(0, 3000) +
          "\nshort\n");
  const std::vector<std::string> folders{nash_swarm::test::tiny_model().string()};
  nash_swarm::ThreadPool pool(2);
  transformer::Progress progress;
  const auto before = fs::exists("tiny.paper.tmp");
  const auto tables = transformer::paper_tables(folders, small_setting(text), pool, progress);
  CHECK(fs::exists("tiny.paper.tmp") == before);
  REQUIRE(tables.size() == 1);
  const transformer::PaperTable& table = tables.front();
  CHECK(table.text.windows.size() == 3);
  CHECK(table.text.scored_tokens == 3 * 63);
  CHECK(table.text.padding_tokens > 0);
  CHECK(table.text.padding_tokens < table.text.scored_tokens);
  REQUIRE(table.rows.size() == 3);
  CHECK(table.rows[0].row.method == "paper_uniform");
  CHECK(table.rows[1].row.method == "paper_nash");
  const transformer::PaperRow& ours = table.rows[2];
  CHECK(ours.row.method == "nash_swarm");
  CHECK(ours.row.stored);
  CHECK(ours.matrix_compression_percent() >= 90.5);
  CHECK(ours.matrix_compression_percent() < 90.6);
  for (const transformer::PaperRow& row : table.rows) {
    CHECK(row.row.matrix_weights == 1024 * 128);
    CHECK(row.change.percent ==
          doctest::Approx(100.0 * (row.row.evaluation()->loss / table.float_model.loss - 1.0)));
    CHECK(row.change.low < row.change.percent);
    CHECK(row.change.percent < row.change.high);
    CHECK(row.unpadded_change.percent != row.change.percent);
  }
  const std::string printed = transformer::format_paper_tables(tables);
  CHECK(contains(printed, "3 texts"));
  CHECK(contains(printed, "189 tokens scored"));

  transformer::write_paper_tables(tables, folder / "r.json");
  const auto json = nlohmann::json::parse(read_text(folder / "r.json"));
  CHECK(json.at("tables").at(0).at("text").at("padding_tokens") == table.text.padding_tokens);
  CHECK(json.at("tables").at(0).at("rows").at(2).at("loss_change").at("high") == ours.change.high);
}

TEST_CASE("paper table: what is wrong is named before the work") {
  const TemporaryFolder folder;
  write_text(folder / "text.txt", "a b c\n");
  nash_swarm::ThreadPool pool(1);
  transformer::Progress progress;
  const std::vector<std::string> folders{nash_swarm::test::tiny_model().string(), "no/such"};
  CHECK(contains(message_of([&] {
                   transformer::paper_tables(folders, small_setting(folder / "text.txt"), pool,
                                             progress);
                 }),
                 "no/such"));
  CHECK(contains(message_of([&] {
                   transformer::paper_tables(folders, small_setting(folder / "none.txt"), pool,
                                             progress);
                 }),
                 "none.txt"));
}
