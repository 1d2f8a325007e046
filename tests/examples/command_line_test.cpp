#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "examples/bundled_model.hpp"
#include "examples/shell.hpp"
#include "examples/tiny_model.hpp"
#include "io/support.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::test::bad_input;
using nash_swarm::test::bundled;
using nash_swarm::test::contains;
using nash_swarm::test::done;
using nash_swarm::test::read_text;
using nash_swarm::test::Result;
using nash_swarm::test::Shell;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::write_text;

/// Runs the main job on very little text, with a tiny model unless the arguments name one.
class QuantizeShell : public Shell {
 public:
  Result quantize(const std::string& arguments) const {
    return run("quantize_gpt2", with_defaults(arguments));
  }
  /// The message of a call that must be refused and leave no file behind.
  std::string refused(const std::string& arguments) const {
    return Shell::refused("quantize_gpt2", with_defaults(arguments));
  }

 private:
  static std::string with_defaults(const std::string& arguments) {
    std::string all = "--max-tokens 64 --calibration-tokens 256 ";
    if (!contains(arguments, "--model")) {
      all += "--model '" + nash_swarm::test::tiny_model().string() + "' ";
    }
    return all + arguments;
  }
};

/// A copy of the bundled model, to be damaged.
void copy_model(const fs::path& target) {
  fs::create_directories(target);
  for (const char* file : {"config.json", "model.safetensors", "vocab.json", "merges.txt"}) {
    fs::copy_file(bundled / file, target / file);
    fs::permissions(target / file, fs::perms::owner_write, fs::perm_options::add);
  }
}

/// Writes two bytes at the element [row, column] of a 16-bit tensor.
void patch_weight(const fs::path& file, const std::string& tensor, std::size_t row,
                  std::size_t column, const char (&bytes)[3]) {
  const std::string text = read_text(file);
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), sizeof length);
  const auto header = nlohmann::json::parse(text.substr(8, length));
  const auto& entry = header.at(tensor);
  REQUIRE((entry.at("dtype") == "F16" || entry.at("dtype") == "BF16"));
  const std::size_t begin = entry.at("data_offsets").at(0);
  const std::size_t columns = entry.at("shape").at(1);
  std::fstream stream(file, std::ios::binary | std::ios::in | std::ios::out);
  stream.seekp(static_cast<std::streamoff>(8 + length + begin + 2 * (row * columns + column)));
  stream.write(bytes, 2);
}

}  // namespace

TEST_CASE("command line: flags that do not exist or do not parse") {
  const QuantizeShell shell;
  for (const char* program :
       {"quantize_gpt2", "evaluate_gpt2", "generate_gpt2", "make_random_gpt2"}) {
    CAPTURE(program);
    CHECK(shell.run(program, "--no-such-flag").exit_code == bad_input);
    const Result help = shell.run(program, "--help");
    CHECK(help.exit_code == done);
    CHECK(contains(help.out, program));
  }
  CHECK(contains(shell.refused("--bits abc"), "abc"));
  CHECK(contains(shell.refused("--bits -3"), "-3"));
  CHECK(contains(shell.refused("--bits 3,nan"), "nan"));
  CHECK(contains(shell.refused("--bits 3 --bytes 4000000"), "--b"));
  CHECK(contains(shell.refused("--compression 101"), "--compression"));
  CHECK(contains(shell.refused("--method magic"), "--method"));
  CHECK(contains(shell.refused("--scope none"), "--scope"));
  CHECK(contains(shell.refused("--threads 0"), "--threads"));
}

TEST_CASE("command line: files that are missing") {
  const QuantizeShell shell;
  CHECK(contains(shell.refused("--model no/such/model"), "no/such/model"));
  CHECK(contains(shell.refused("--text no_text.txt"), "no_text.txt"));
  CHECK(contains(shell.refused("--calibration no_text.txt"), "no_text.txt"));
  for (const char* flags : {"--out no/such/folder/model", "--report no/such/folder/r.json"}) {
    const std::string message = shell.refused(flags);
    CHECK(contains(message, "no/such/folder"));
    CHECK_FALSE(contains(message, "calibrating"));  // noticed before the work
  }
  CHECK(contains(shell.quantize("--dry-run").err, "calibrating"));
  CHECK(shell.run("evaluate_gpt2", "--model no/such/model").exit_code == bad_input);
  CHECK(shell.run("generate_gpt2", "--model no/such/model").exit_code == bad_input);
}

TEST_CASE("command line: texts that are empty, too short, or no UTF-8") {
  const QuantizeShell shell;
  const TemporaryFolder texts;
  write_text(texts / "empty.txt", "");
  write_text(texts / "one.txt", "a");
  write_text(texts / "invalid.txt", "The quick \xff\xfe brown fox jumps over the lazy dog .");
  const std::string folder = texts.path().string();
  CHECK(contains(shell.refused("--text " + folder + "/empty.txt"), "empty.txt"));
  CHECK(contains(shell.refused("--text " + folder + "/one.txt"), "one.txt"));
  CHECK(contains(shell.refused("--calibration " + folder + "/one.txt"), "one.txt"));
  const Result result = shell.run("evaluate_gpt2", "--text " + folder + "/invalid.txt");
  CHECK(result.exit_code == done);
  CHECK(contains(result.err, "warning: " + folder + "/invalid.txt: 2 bytes"));
}

TEST_CASE("command line: budgets below the smallest and above the largest") {
  const QuantizeShell shell;
  const std::string below = shell.refused("--dry-run --bits 0.01");
  CHECK(contains(below, "smallest possible"));
  const std::string file_below = shell.refused("--dry-run --bytes 100");
  CHECK(contains(file_below, "smallest possible file of"));
  const Result above = shell.quantize("--dry-run --bits 30");
  CHECK(above.exit_code == done);
  CHECK(contains(above.err, "warning: the budget is above the largest size"));
}

TEST_CASE("command line: rules are kept, or refused before the work") {
  const QuantizeShell shell;
  const std::string nobody = shell.refused("--dry-run --fix nobody=b3_l3");
  CHECK(contains(nobody, "rule nobody=b3_l3"));
  CHECK_FALSE(contains(nobody, "calibrating"));
  CHECK(contains(shell.refused("--fix wte=b9"), "unknown format"));
  CHECK(contains(shell.refused("--forbid wte"), "not REGEX=FORMAT"));
  CHECK(contains(shell.refused("--fix wte=b3_l3 --forbid wte=b3_l3"), "leave no format"));
  CHECK(contains(shell.refused("--bits 2 --min-bits 3"), "smallest possible"));
  CHECK(contains(shell.refused("--method rtn --max-bits 4"), "--method"));
  const Result result =
      shell.quantize("--dry-run --fix '^wte$=b4_l4' --max-bits 4 --plan-out plan.json");
  REQUIRE(result.exit_code == done);
  const auto plan = nlohmann::json::parse(read_text(shell.folder() / "plan.json"));
  CHECK(plan.at("matrices").at("wte").at("cells") == nlohmann::json::parse("[[64, \"b4_l4*2\"]]"));
}

TEST_CASE("command line: a plan for llama.cpp refuses the flags that it cannot heed") {
  const QuantizeShell shell;
  for (const char* const flags :
       {"--report r.json", "--chart c.svg", "--picture p.svg", "--compare", "--method rtn",
        "--plan p.json", "--fix wte=b3_l3", "--forbid wte=b3_l3", "--min-bits 2", "--max-bits 4",
        "--without cells", "--dry-run", "--out o", "--bytes 400000", "--compression 80"}) {
    const std::string all = flags;
    CHECK(
        contains(shell.refused("--plan-out p.txt " + all),
                 all.substr(0, all.find(' ')) + ": means nothing for a plan of llama.cpp's types"));
  }
  CHECK(contains(shell.refused("--plan-out p.txt --bits 4,5"), "has one size"));
  REQUIRE(shell.quantize("--plan-out p.txt --bits 6").exit_code == done);
  CHECK(contains(read_text(shell.folder() / "p.txt"), "blk\\.0\\.ffn_up\\.weight$="));
}

TEST_CASE("command line: baselines are made for every budget, each once") {
  const QuantizeShell shell;
  const auto bits_of = [&](const std::string& bits) {
    const std::string flags = "--method rtn --dry-run --report r.json --bits " + bits;
    REQUIRE(shell.quantize(flags).exit_code == done);
    const auto report = nlohmann::json::parse(read_text(shell.folder() / "r.json"));
    std::vector<double> rows;
    for (const auto& row : report.at("rows")) rows.push_back(row.at("bits_per_weight"));
    return rows;
  };
  CHECK(bits_of("3.25,2.25,4.25") == std::vector{2.25, 3.25, 4.25});
  CHECK(bits_of("3.25,3.3") == std::vector{3.25});
  CHECK(contains(shell.refused("--method rtn --dry-run --bits 3,1"),
                 "below the smallest size of rtn"));
}

TEST_CASE("command line: flags that mean nothing beside the others are refused") {
  const Shell shell;
  const auto refused = [&](const std::string& flags) {
    return shell.refused("evaluate_gpt2", "--model '" + bundled.string() + "' " + flags);
  };
  CHECK(contains(refused("--protocol paper --context 8"), "--context: means nothing under"));
  CHECK(contains(refused("--protocol paper --max-tokens 8"), "--max-tokens: means nothing under"));
  CHECK(contains(refused("--samples 3"), "--samples: means nothing under --protocol full"));
  CHECK(contains(refused("--reference '" + bundled.string() + "'"), "--reference: is for packed"));
  CHECK(contains(refused("--activations 16"), "--activations: is for packed models"));
  CHECK(contains(refused("--activations 1"), "--activations: 1 not in {8,16,exact}"));
  CHECK(contains(shell.refused("make_random_gpt2", "--size 124M --out m --seed -1"), "--seed"));
}

TEST_CASE("command line: check_predictions says how much text it takes") {
  const Shell shell;
  CHECK(contains(shell.run("check_predictions", "--help").out, "Most tokens to score (4096)"));
  const TemporaryFolder texts;
  write_text(texts / "one.txt", "a");
  CHECK(contains(shell.refused("check_predictions",
                               "--max-tokens 64 --calibration " + (texts / "one.txt").string()),
                 "one.txt: shorter than two tokens"));
}

TEST_CASE("command line: a plan is written, edited by hand, and packed") {
  const QuantizeShell shell;
  REQUIRE(shell.quantize("--dry-run --plan-out plan.json --picture plan.svg").exit_code == done);
  const std::string text = read_text(shell.folder() / "plan.json");
  CHECK(contains(read_text(shell.folder() / "plan.svg"), "h.0.attn.c_attn"));

  const Result again = shell.quantize("--dry-run --plan plan.json --plan-out again.json");
  REQUIRE(again.exit_code == done);
  CHECK(read_text(shell.folder() / "again.json") == text);
  CHECK_FALSE(contains(again.err, "warning"));

  nlohmann::json edited = nlohmann::json::parse(text);
  edited["matrices"]["wte"]["cells"] = nlohmann::json::parse("[[64, \"linear8*2\"]]");
  write_text(shell.folder() / "edited.json", edited.dump());
  const Result larger = shell.quantize("--plan edited.json --out packed --report r.json");
  REQUIRE(larger.exit_code == done);
  CHECK(contains(larger.err, "exceed its budget"));
  const auto report = nlohmann::json::parse(read_text(shell.folder() / "r.json"));
  CHECK(report.at("rows").at(0).at("matrix_bytes") ==
        report.at("rows").at(0).at("certificate").at("bytes"));

  edited["matrices"].erase("wte");
  write_text(shell.folder() / "edited.json", edited.dump());
  fs::remove(shell.folder() / "packed");
  CHECK(contains(shell.refused("--plan edited.json"), "'wte': missing"));
  CHECK(contains(shell.refused("--plan plan.json --bits 3"), "--plan"));
  CHECK(contains(shell.refused("--plan nothing.json"), "nothing.json"));
  for (const char* flags : {"--plan-out no/such/folder/p", "--picture no/such/folder/p"}) {
    CHECK(contains(shell.refused(flags), "no/such/folder"));
  }
}

TEST_CASE("command line: the chart shows all rows, pieces that are left out are named") {
  const QuantizeShell shell;
  const Result result = shell.quantize(
      "--scope lm_head --compare --bits 3.3,30 --without measured --without rotation "
      "--chart c.svg --report r.json");
  REQUIRE(result.exit_code == done);
  CHECK(contains(result.out, "without measured\nwithout rotation\n"));
  CHECK(contains(result.out, "nash_swarm 3.3 bits: the best rival, "));
  CHECK(contains(result.out, "nash_swarm 30 bits: no rival"));
  const std::string chart = read_text(shell.folder() / "c.svg");
  for (const char* name :
       {"nash_swarm", "rtn, groups of 64", "gptq, groups of 128", "paper_nash"}) {
    CHECK(contains(chart, ">" + std::string(name) + "</text>"));
  }
  const auto report = nlohmann::json::parse(read_text(shell.folder() / "r.json"));
  CHECK(report.at("without") == nlohmann::json::parse(R"(["measured", "rotation"])"));
  const auto& ours = report.at("rows").at(0);
  CHECK(ours.at("best_rival").at("ratio").get<double>() ==
        doctest::Approx(ours.at("best_rival").at("kld").get<double>() /
                        ours.at("kld").get<double>()));
  CHECK(report.at("rows").at(1).at("best_rival").is_null());
  CHECK(report.at("rows").at(2).at("best_rival").is_null());

  CHECK(contains(shell.refused("--without luck"), "unknown piece \"luck\""));
  CHECK(contains(shell.refused("--method rtn --without cells"), "--method"));
  CHECK(contains(shell.refused("--chart no/such/folder/c.svg"), "no/such/folder"));
  CHECK(contains(shell.refused("--dry-run --chart c.svg"), "--chart"));
  CHECK(contains(shell.refused("--paper-table no/such/model"), "no/such/model"));
}

TEST_CASE("command line: models that are damaged") {
  const QuantizeShell shell;
  const TemporaryFolder models;
  const fs::path model = models / "model";
  const std::string flags = "--dry-run --model " + model.string();
  copy_model(model);
  patch_weight(model / "model.safetensors", "h.2.mlp.c_fc.weight", 12, 7, "\xff\x7f");
  const std::string nan = shell.refused(flags);
  CHECK(contains(nan, "h.2.mlp.c_fc.weight"));
  CHECK(contains(nan, "NaN at [12, 7]"));
  CHECK(shell.run("evaluate_gpt2", "--max-tokens 64 --model " + model.string()).exit_code ==
        bad_input);

  fs::resize_file(model / "model.safetensors", 5'000'000);
  CHECK(contains(shell.refused(flags), "model.safetensors"));

  fs::copy_file(bundled / "model.safetensors", model / "model.safetensors",
                fs::copy_options::overwrite_existing);
  nlohmann::json vocabulary = nlohmann::json::parse(read_text(bundled / "vocab.json"));
  vocabulary["onemore"] = vocabulary.size();
  write_text(model / "vocab.json", vocabulary.dump());
  CHECK(contains(shell.refused(flags), "4097"));

  write_text(model / "vocab.json", "{");
  CHECK(contains(shell.refused(flags), "vocab.json"));
}

TEST_CASE("command line: formats are listed") {
  const QuantizeShell shell;
  const Result result = shell.run("quantize_gpt2", "--list-formats");
  CHECK(result.exit_code == done);
  CHECK(contains(result.out, "linear8"));
  CHECK(contains(result.out, "raw16"));
}

TEST_CASE("command line: the size of a dry run is that of the file, whose bytes do not vary") {
  const QuantizeShell shell;
  const Result dry = shell.quantize("--dry-run --bits 3 --report dry.json --out never");
  REQUIRE(dry.exit_code == done);
  CHECK_FALSE(fs::exists(shell.folder() / "never"));
  REQUIRE(shell.quantize("--out first --report first.json").exit_code == done);
  REQUIRE(shell.quantize("--bits 3 --threads 1 --out second").exit_code == done);
  const auto planned = nlohmann::json::parse(read_text(shell.folder() / "dry.json"));
  const auto report = nlohmann::json::parse(read_text(shell.folder() / "first.json"));
  const std::string first = read_text(shell.folder() / "first");
  CHECK(first.size() == planned.at("rows").at(0).at("file_bytes").get<std::size_t>());
  CHECK(first.size() == report.at("rows").at(0).at("file_bytes").get<std::size_t>());
  CHECK(first == read_text(shell.folder() / "second"));

  const Result again =
      shell.run("evaluate_gpt2", "--max-tokens 64 --model first --report again.json");
  REQUIRE(again.exit_code == done);
  const auto reread = nlohmann::json::parse(read_text(shell.folder() / "again.json"));
  CHECK(reread.at("rows").at(0).at("loss") == report.at("rows").at(0).at("loss"));
  const Result generated = shell.run("generate_gpt2", "--model first --prompt The --tokens 4");
  CHECK(generated.exit_code == done);
  CHECK(contains(generated.out, "The"));
}
