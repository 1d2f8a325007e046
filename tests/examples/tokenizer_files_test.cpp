#include "transformer/tokenizer_files.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/packed_model.hpp>
#include <nlohmann/json.hpp>

#include "examples/opt_tokenizer.hpp"
#include "examples/shell.hpp"
#include "examples/tiny_model.hpp"
#include "examples/tokenizer_json_support.hpp"
#include "io/support.hpp"
#include "transformer/load_model.hpp"
#include "transformer/other_tensors.hpp"
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

/// A checkpoint with random weights and a tokenizer as OPT's.
void write_opt_checkpoint(const std::filesystem::path& folder) {
  nash_swarm::test::write_tiny_model(folder, 1);
  nash_swarm::test::write_opt_tokenizer(folder);
}

/// Quantizes a checkpoint whose vocabulary has 261 tokens or more.
void write_packed(const transformer::Checkpoint& checkpoint, const std::filesystem::path& target,
                  nash_swarm::ThreadPool& pool) {
  transformer::Quantizer quantizer(checkpoint, transformer::Scope::all, 1, pool);
  std::vector<std::int32_t> tokens;
  for (std::int32_t i = 0; i < 128; ++i) tokens.push_back(i * 37 % 261);
  quantizer.calibrate(tokens, [](std::size_t) {});
  quantizer.write(quantizer.plan(nash_swarm::Budget::bits(4.5)), target, [](std::size_t) {});
}

/// A packed model with these documents and nothing else.
void write_documents(const std::filesystem::path& target,
                     const std::map<std::string, std::string>& documents) {
  std::vector<nash_swarm::OtherTensor> others;
  for (const auto& [name, text] : documents) {
    others.push_back({{name, nash_swarm::DataType::U8, {text.size()}},
                      [&text = text](const nash_swarm::OtherTensor::Sink& sink) {
                        sink(std::as_bytes(std::span(text)));
                      }});
  }
  const auto pack = [](const nash_swarm::MatrixPlan& plan) -> nash_swarm::PackedMatrix {
    throw nash_swarm::Error(plan.name, "is not expected here");
  };
  nash_swarm::write_packed_model(target, {}, others, pack);
}

/// What the tokenizer of such a packed model makes of "he".
std::vector<std::int32_t> packed_ids(const std::filesystem::path& packed) {
  const nash_swarm::PackedModelFile file(packed);
  return transformer::make_tokenizer(transformer::tokenizer_files(file), 272)
      .encode_document("he")
      .ids;
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
  write_packed(checkpoint, folder / "packed", pool);

  const transformer::LoadedModel packed = transformer::load_model(folder / "packed", true, pool);
  const std::vector<std::int32_t> expected = {1, 272, 274, 275, 262, 266};
  CHECK(packed.tokenizer.encode_document("hello world").ids == expected);
  CHECK(checkpoint.make_tokenizer().encode_document("hello world").ids == expected);
  CHECK(packed.packed->document("tokenizer.json") == json_with_start());
  CHECK(packed.packed->file().find("vocab.json") == nullptr);
}

TEST_CASE("tokenizer files: a tokenizer_config.json counts beside vocab.json and merges.txt") {
  const TemporaryFolder folder;
  nash_swarm::test::write_opt_tokenizer(folder.path());
  const auto files = [&] { return transformer::tokenizer_files(folder.path()); };
  const std::string place = (folder / "tokenizer_config.json").string();
  REQUIRE(files().size() == 3);
  CHECK(files()[2].name == "tokenizer_config.json");
  CHECK(files()[2].place == place);
  CHECK(files()[2].text == nash_swarm::test::short_opt_tokenizer_config);

  const auto ids = [&] {
    return transformer::make_tokenizer(files(), 272).encode_document("he").ids;
  };
  CHECK(ids() == std::vector<std::int32_t>{2, 260});
  for (const std::string text :
       {R"({"model_max_length": 1024})", R"({"add_bos_token": false, "bos_token": "</s>"})"}) {
    write_text(folder / "tokenizer_config.json", text);
    CHECK(files().size() == 2);
    CHECK(ids() == std::vector<std::int32_t>{260});
  }
  std::filesystem::remove(folder / "tokenizer_config.json");
  CHECK(ids() == std::vector<std::int32_t>{260});

  const auto refusal = [&](const std::string& text) {
    write_text(folder / "tokenizer_config.json", text);
    return nash_swarm::test::message_of(ids);
  };
  CHECK(refusal("").starts_with(place + ": the file is empty; "));
  CHECK(refusal("[]").starts_with(place + ": is not a JSON object; "));
  CHECK(refusal(R"({"add_eos_token": true})").starts_with(place + ": add_eos_token true "));
  CHECK(refusal(R"({"add_bos_token": true, "bos_token": "<bos>"})")
            .starts_with(place + ": bos_token \"<bos>\" is not in the vocabulary; "));

  // Beside a tokenizer.json it says nothing.
  write_text(folder / "tokenizer.json", json_with_start());
  REQUIRE(files().size() == 1);
  CHECK(transformer::make_tokenizer(files(), 277).encode_document("hello").ids ==
        std::vector<std::int32_t>{1, 272});
}

TEST_CASE("tokenizer files: a packed file has the token before texts of its checkpoint") {
  const TemporaryFolder folder;
  nash_swarm::ThreadPool pool(1);
  write_opt_checkpoint(folder / "model");
  const transformer::Checkpoint checkpoint(folder / "model");
  write_packed(checkpoint, folder / "packed", pool);

  const transformer::LoadedModel packed = transformer::load_model(folder / "packed", true, pool);
  const std::vector<std::int32_t> ids = checkpoint.make_tokenizer().encode_document("hello").ids;
  REQUIRE(ids.size() == 5);
  CHECK(ids.front() == 2);
  CHECK(packed.tokenizer.encode_document("hello").ids == ids);
  CHECK(packed.packed->document("tokenizer_config.json") ==
        nash_swarm::test::short_opt_tokenizer_config);
}

TEST_CASE("tokenizer files: a packed file has no tokenizer_config.json that says nothing") {
  const TemporaryFolder folder;
  nash_swarm::test::write_tiny_model(folder / "model", 1);
  const auto names = [&] {
    const transformer::Checkpoint checkpoint(folder / "model");
    std::vector<std::string> all;
    for (const auto& tensor : transformer::other_tensors(checkpoint, transformer::Scope::all)) {
      all.push_back(tensor.spec.name);
    }
    return all;
  };
  const std::vector<std::string> without = names();
  CHECK(without.back() == "merges.txt");
  write_text(folder / "model" / "tokenizer_config.json", R"({"model_max_length": 1024})");
  CHECK(names() == without);
}

TEST_CASE("tokenizer files: packed files with and without a tokenizer_config.json") {
  const TemporaryFolder folder;
  std::map<std::string, std::string> documents = {
      {"vocab.json", nash_swarm::test::opt_vocabulary()},
      {"merges.txt", nash_swarm::test::opt_merges}};
  write_documents(folder / "old", documents);
  CHECK(packed_ids(folder / "old") == std::vector<std::int32_t>{260});
  documents["tokenizer_config.json"] = nash_swarm::test::short_opt_tokenizer_config;
  write_documents(folder / "new", documents);
  CHECK(packed_ids(folder / "new") == std::vector<std::int32_t>{2, 260});

  const auto refusal = [&](const std::string& text) {
    documents["tokenizer_config.json"] = text;
    write_documents(folder / "bad", documents);
    return nash_swarm::test::message_of([&] { packed_ids(folder / "bad"); });
  };
  const std::string place = (folder / "bad").string() + ", tokenizer_config.json: ";
  CHECK(refusal("").starts_with(place + "not valid JSON at byte "));
  CHECK(refusal("null").starts_with(place + "is not a JSON object; "));
  CHECK(refusal(R"({"add_bos_token": 1})").starts_with(place + "add_bos_token is neither "));
  CHECK(refusal(R"({"add_bos_token": true})").starts_with(place + "add_bos_token is true, but "));
  CHECK(refusal(R"({"add_bos_token": true, "bos_token": ""})")
            .starts_with(place + "bos_token \"\" is not in the vocabulary; "));
}

TEST_CASE("tokenizer files: prompts start with the token before texts") {
  const nash_swarm::test::Shell shell;
  const auto check = [&](const std::string& model, std::size_t tokens) {
    const std::string flags = "--tokens 2 --model " + model;
    const auto result = shell.run("generate_model", flags + " --prompt 'hello world'");
    CAPTURE(result.err);
    CHECK(result.exit_code == nash_swarm::test::done);
    CHECK(result.err.find("prompt: " + std::to_string(tokens) + " tokens") != std::string::npos);
    CHECK(result.out.starts_with("hello world"));
    const auto empty = shell.run("generate_model", flags);
    CAPTURE(empty.err);
    CHECK(empty.exit_code == nash_swarm::test::done);
    CHECK(empty.err.find("prompt: 1 tokens") != std::string::npos);
  };
  write_json_checkpoint(shell.folder() / "llama");
  check("llama", 6);
  write_opt_checkpoint(shell.folder() / "opt");
  check("opt", 11);
  write_text(shell.folder() / "opt" / "tokenizer_config.json", R"({"add_prefix_space": true})");
  CHECK(shell.refused("generate_model", "--model opt --prompt he")
            .find("tokenizer_config.json: add_prefix_space true ") != std::string::npos);
}
