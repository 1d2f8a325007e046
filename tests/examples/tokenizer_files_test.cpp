#include "transformer/tokenizer_files.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "examples/shell.hpp"
#include "examples/tiny_model.hpp"
#include "examples/tokenizer_json_support.hpp"
#include "io/support.hpp"
#include "transformer/load_model.hpp"
#include "transformer/quantizer.hpp"

namespace {

using nash_swarm::test::read_text;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::write_text;

/// A small tokenizer.json with a token before every text.
std::string json_with_start() {
  nlohmann::json json =
      nash_swarm::test::marked_json(nash_swarm::test::marking_normalizer(), nullptr);
  json["post_processor"] = nash_swarm::test::start_template("<s>", 1);
  return json.dump();
}

/// A checkpoint with random weights whose vocabulary is that tokenizer.json.
void write_json_checkpoint(const std::filesystem::path& folder) {
  nash_swarm::test::write_tiny_model(folder, 1);
  for (const char* name : {"vocab.json", "merges.txt"}) std::filesystem::remove(folder / name);
  write_text(folder / "tokenizer.json", json_with_start());
}

}  // namespace

TEST_CASE("tokenizer files: tokenizer.json goes before vocab.json and merges.txt") {
  const TemporaryFolder folder;
  const auto names = [&] {
    std::string all;
    for (const auto& file : transformer::tokenizer_files(folder.path())) {
      CHECK(file.place == (folder / file.name).string());
      CHECK(file.text == read_text(folder / file.name));
      all += file.name + " ";
    }
    return all;
  };
  const auto refusal = [&] { return nash_swarm::test::message_of(names); };
  CHECK(refusal().starts_with((folder / "vocab.json").string() + ": is missing"));
  write_text(folder / "vocab.json", "{}");
  CHECK(refusal().starts_with((folder / "merges.txt").string() + ": is missing"));
  CHECK(refusal().find("tokenizer.json") != std::string::npos);
  write_text(folder / "merges.txt", "a b");
  CHECK(names() == "vocab.json merges.txt ");
  write_text(folder / "tokenizer.json", "[]");
  CHECK(names() == "tokenizer.json ");
  std::filesystem::remove(folder / "vocab.json");
  CHECK(names() == "tokenizer.json ");
}

TEST_CASE("tokenizer files: a packed file has the tokenizer.json of its checkpoint") {
  const TemporaryFolder folder;
  nash_swarm::ThreadPool pool(1);
  write_json_checkpoint(folder / "model");
  const transformer::Checkpoint checkpoint(folder / "model");
  transformer::Quantizer quantizer(checkpoint, transformer::Scope::all, 1, pool);
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 128; ++i) tokens.push_back(i * 37 % 277);
  quantizer.calibrate(tokens, [](std::size_t) {});
  quantizer.write(quantizer.plan(nash_swarm::Budget::bits(4.5)), folder / "packed",
                  [](std::size_t) {});

  const transformer::LoadedModel packed = transformer::load_model(folder / "packed", true, pool);
  const std::vector<std::int32_t> expected = {1, 272, 274, 275, 262, 266};
  CHECK(packed.tokenizer.encode_document("hello world").ids == expected);
  CHECK(checkpoint.make_tokenizer().encode_document("hello world").ids == expected);
  CHECK(packed.packed->document("tokenizer.json") == json_with_start());
  CHECK(packed.packed->file().find("vocab.json") == nullptr);
}

TEST_CASE("tokenizer files: prompts start with the token of the template") {
  const nash_swarm::test::Shell shell;
  write_json_checkpoint(shell.folder() / "model");
  const auto result =
      shell.run("generate_model", "--model model --prompt 'hello world' --tokens 2");
  CAPTURE(result.err);
  CHECK(result.exit_code == nash_swarm::test::done);
  CHECK(result.err.find("prompt: 6 tokens") != std::string::npos);
  CHECK(result.out.starts_with("hello world"));
  const auto empty = shell.run("generate_model", "--model model --tokens 2");
  CAPTURE(empty.err);
  CHECK(empty.exit_code == nash_swarm::test::done);
  CHECK(empty.err.find("prompt: 1 tokens") != std::string::npos);
}
