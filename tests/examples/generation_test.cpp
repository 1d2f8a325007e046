#include "transformer/generation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <memory>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/packed_model.hpp>
#include <nash_swarm/kernel/matmul.hpp>
#include <nash_swarm/model/allocate.hpp>
#include <span>
#include <string>
#include <vector>

#include "examples/bundled_model.hpp"
#include "io/support.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/load_model.hpp"
#include "transformer/loss.hpp"
#include "transformer/quantizer.hpp"
#include "transformer/random_checkpoint.hpp"

namespace {

using nash_swarm::Error;
using nash_swarm::ThreadPool;
using nash_swarm::test::bundled;
using nash_swarm::test::TemporaryFolder;
using transformer::LoadedModel;
using transformer::Model;
using transformer::Sampler;
using Tokens = std::vector<std::int32_t>;

ThreadPool& pool() {
  static ThreadPool threads(2);
  return threads;
}

const LoadedModel& loaded() {
  static const LoadedModel model = transformer::load_model(bundled, true, pool());
  return model;
}

const Tokens& prompt() {
  static const Tokens tokens = loaded().tokenizer.encode("The history of the village").ids;
  return tokens;
}

Tokens generate(const Model& model, const Tokens& start, std::size_t count, double temperature,
                std::uint64_t seed) {
  Sampler sampler(temperature, seed);
  return transformer::generate(model, start, count, sampler, pool()).tokens;
}

/// Greedy generation that runs the whole sequence again for every token.
Tokens generate_without_cache(const Model& model, Tokens tokens, std::size_t count) {
  const std::size_t begin = tokens.size();
  transformer::FloatMatrix logits(1, model.config.vocab_size);
  while (tokens.size() < begin + count) {
    const transformer::FloatMatrix hidden = transformer::hidden_states(model, tokens, 1, pool());
    model.token_embedding->logits(hidden.view().slice(0, tokens.size() - 1, tokens.size()),
                                  logits.view(), pool());
    tokens.push_back(static_cast<std::int32_t>(
        transformer::most_likely_token({logits.view().data(), logits.columns()})));
  }
  return {tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.end()};
}

std::string error_of(const Tokens& start, std::size_t count) {
  try {
    generate(loaded().model, start, count, 0.0, 0);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// A checkpoint with random weights and its packed file.
struct PackedExample {
  TemporaryFolder folder;
  std::filesystem::path checkpoint = folder / "model";
  std::filesystem::path file = folder / "model.packed";
  std::filesystem::path blocks_file = folder / "blocks.packed";

  PackedExample() {
    transformer::Config config;
    config.n_embd = 64;
    config.n_layer = 2;
    config.n_head = config.n_head_kv = 4;
    config.n_ctx = 32;
    config.vocab_size = 400;
    config.n_inner = 256;
    transformer::write_random_checkpoint(config, checkpoint, 11, pool());
    write(transformer::Scope::all, file);
    write(transformer::Scope::blocks, blocks_file);
  }

 private:
  void write(transformer::Scope scope, const std::filesystem::path& target) const {
    const transformer::Checkpoint opened(checkpoint);
    Tokens tokens;
    for (std::int32_t i = 0; i < 256; ++i) tokens.push_back(i * 37 % 400);
    transformer::Quantizer quantizer(opened, scope, 1, pool());
    quantizer.calibrate(tokens, [](std::size_t) {});
    quantizer.write(quantizer.plan(nash_swarm::Budget::bits(4.5)), target, [](std::size_t) {});
  }
};

const PackedExample& packed_example() {
  static const PackedExample example;
  return example;
}

/// The values that a packed matrix stands for, in memory.
class DecodedSource : public transformer::WeightSource {
 public:
  explicit DecodedSource(nash_swarm::PackedMatrix matrix)
      : matrix_(std::move(matrix)), name_(matrix_.name()) {}
  std::size_t out_features() const override { return matrix_.out_features(); }
  std::size_t in_features() const override { return matrix_.in_features(); }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const override {
    for (std::size_t i = 0; i < rows.extent(0); ++i) {
      nash_swarm::decode_row(matrix_, begin + i, rows[i]);
    }
  }

 private:
  nash_swarm::PackedMatrix matrix_;
  std::string name_;
};

/// Largest difference of two models' hidden states, relative to the largest value.
double difference(const Model& a, const Model& b, const Tokens& tokens) {
  const transformer::FloatMatrix x = transformer::hidden_states(a, tokens, 1, pool());
  const transformer::FloatMatrix y = transformer::hidden_states(b, tokens, 1, pool());
  double largest = 0.0;
  double error = 0.0;
  for (std::size_t i = 0; i < x.rows() * x.columns(); ++i) {
    const auto value = static_cast<double>(x.view().data()[i]);
    largest = std::max(largest, std::abs(value));
    error = std::max(error, std::abs(value - static_cast<double>(y.view().data()[i])));
  }
  return error / largest;
}

}  // namespace

TEST_CASE("generation: greedy tokens are those of whole passes without a cache") {
  const Tokens expected = generate_without_cache(loaded().model, prompt(), 24);
  CHECK(generate(loaded().model, prompt(), 24, 0.0, 0) == expected);
  CHECK(generate(loaded().model, prompt(), 24, 0.0, 99) == expected);
  const Tokens document = {*loaded().tokenizer.end_of_text()};
  CHECK(generate(loaded().model, document, 8, 0.0, 0) ==
        generate_without_cache(loaded().model, document, 8));
}

TEST_CASE("generation: the seed decides the text") {
  const Tokens first = generate(loaded().model, prompt(), 24, 1.0, 7);
  CHECK(generate(loaded().model, prompt(), 24, 1.0, 7) == first);
  CHECK(generate(loaded().model, prompt(), 24, 1.0, 8) != first);
}

TEST_CASE("generation: the observer sees every token in order") {
  Tokens seen;
  Sampler sampler(1.0, 3);
  const transformer::Generation generation =
      transformer::generate(loaded().model, prompt(), 5, sampler, pool(),
                            [&](std::int32_t token) { seen.push_back(token); });
  CHECK(seen.size() == 5);
  CHECK(seen == generation.tokens);
  CHECK(generation.prompt_seconds > 0.0);
  CHECK(generation.generation_seconds > 0.0);
}

TEST_CASE("generation: prompt and tokens fill the context but do not exceed it") {
  const Tokens start(250, 1);
  CHECK(generate(loaded().model, start, 6, 0.0, 0).size() == 6);
  CHECK(generate(loaded().model, start, 0, 0.0, 0).empty());
  CHECK(error_of(start, 7).find("at most 6 tokens") != std::string::npos);
  CHECK(error_of(start, 7).find("n_ctx") != std::string::npos);
  CHECK_FALSE(error_of(start, std::numeric_limits<std::size_t>::max()).empty());
  CHECK_FALSE(error_of(Tokens(257, 1), 1).empty());
  CHECK_FALSE(error_of({}, 1).empty());
}

TEST_CASE("sampler: draws follow the softmax at the temperature") {
  const std::vector<float> logits = {0.0f, 2.0f, std::log(3.0f) * 2.0f, -1000.0f};
  Sampler sampler(2.0, 5);  // weights 1, e, 3, 0
  std::vector<double> counts(4, 0.0);
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    counts[static_cast<std::size_t>(sampler.choose(logits))] += 1.0 / draws;
  }
  const double total = 4.0 + std::exp(1.0);
  CHECK(std::abs(counts[0] - 1.0 / total) < 0.015);
  CHECK(std::abs(counts[1] - std::exp(1.0) / total) < 0.015);
  CHECK(std::abs(counts[2] - 3.0 / total) < 0.015);
  CHECK(counts[3] == 0.0);
}

TEST_CASE("sampler: the numbers of a seed are those of the standard's generator") {
  // The first number of std::mt19937_64's default seed 5489 is 14514284786278117030, 0.7868… of
  // 2^64 (its 10000th is fixed by the standard), so among ten equal weights it draws the eighth.
  Sampler sampler(1.0, 5489);
  CHECK(sampler.choose(std::vector<float>(10, 0.5f)) == 7);
}

TEST_CASE("sampler: a very low temperature is greedy") {
  const std::vector<float> logits = {1.0f, 1.5f, 1.25f};
  for (const double temperature : {0.0, 1e-3, std::numeric_limits<double>::denorm_min()}) {
    Sampler sampler(temperature, 1);
    for (int i = 0; i < 100; ++i) CHECK(sampler.choose(logits) == 1);
  }
}

TEST_CASE("sampler: impossible temperatures and logits are refused") {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double temperature : {-0.5, -infinity, infinity, std::nan("")}) {
    CHECK_THROWS_AS(Sampler(temperature, 0), Error);
  }
  for (const double temperature : {0.0, 1.0}) {
    Sampler sampler(temperature, 0);
    CHECK_THROWS_AS(sampler.choose(std::vector<float>{0.0f, std::nanf("")}), Error);
    CHECK_THROWS_AS(
        sampler.choose(std::vector<float>{0.0f, std::numeric_limits<float>::infinity()}), Error);
  }
}

TEST_CASE("load_model: a packed file computes with the matrices that are in it") {
  const PackedExample& example = packed_example();
  const transformer::Checkpoint checkpoint(example.checkpoint);
  const Tokens tokens = {5, 17, 300, 42, 42, 399, 0, 256};
  for (const std::filesystem::path& path : {example.file, example.blocks_file}) {
    CAPTURE(path);
    const LoadedModel packed = transformer::load_model(path, true, pool());
    CHECK(packed.name == path.filename().string());
    CHECK(packed.checkpoint == nullptr);
    REQUIRE(packed.packed != nullptr);
    const Model decoded = transformer::make_float_model(
        checkpoint, true,
        [&](const std::shared_ptr<const transformer::WeightSource>& original)
            -> std::shared_ptr<const transformer::WeightSource> {
          const auto* matrix = packed.packed->find_matrix(original->name());
          if (matrix == nullptr) return original;
          return std::make_shared<DecodedSource>(*matrix);
        });
    const Model original = transformer::make_float_model(checkpoint, true);
    // The kernel rounds activations to 8 bits or more; the weights themselves differ by far more.
    const double kernel_error = difference(decoded, packed.model, tokens);
    CHECK(kernel_error < 0.03);
    CHECK(kernel_error < 0.5 * difference(original, packed.model, tokens));
    const auto error_of = [&](transformer::ProductInputs inputs) {
      return difference(decoded, transformer::load_model(path, true, pool(), inputs).model, tokens);
    };
    CHECK(error_of(transformer::ProductInputs::eight_bits) == kernel_error);
    CHECK(error_of(transformer::ProductInputs::sixteen_bits) < 0.02 * kernel_error);
    CHECK(error_of(transformer::ProductInputs::exact) < 0.001 * kernel_error);
    CHECK(generate(packed.model, tokens, 20, 0.0, 0) ==
          generate_without_cache(packed.model, tokens, 20));
  }
}

TEST_CASE("load_model: a packed file with a NaN or with another config is refused by name") {
  const TemporaryFolder folder;
  const std::filesystem::path damaged = folder / "damaged";
  const std::string whole = nash_swarm::test::read_text(packed_example().blocks_file);
  const nash_swarm::SafetensorsFile file(packed_example().blocks_file);
  const auto place_of = [&](const char* tensor) {
    return static_cast<std::size_t>(file.at(tensor).bytes.data() - file.mapping()->bytes().data());
  };
  const auto message = [&](const std::string& text) {
    nash_swarm::test::write_text(damaged, text);
    return nash_swarm::test::message_of([&] { transformer::load_model(damaged, false, pool()); });
  };
  for (const char* const tensor : {"wpe.weight", "wte.weight", "ln_f.bias"}) {
    const std::string refusal =
        message(std::string(whole).replace(place_of(tensor), 4, "\xff\xff\xff\xff"));
    CAPTURE(refusal);
    CHECK(refusal.starts_with(std::string(tensor) + ": NaN at [0"));
    CHECK(refusal.find(damaged.string() + "; ") != std::string::npos);
  }
  std::string longer = whole;
  for (const char* const key : {"n_positions", "n_ctx"}) {
    const std::size_t place = longer.find(key, place_of("config.json"));
    longer.replace(longer.find("32", place), 2, "33");
  }
  const std::string refusal = message(longer);
  CAPTURE(refusal);
  CHECK(refusal.starts_with(damaged.string() +
                            ": wpe.weight: has 2048 elements, the config asks for 2112; "));
}

TEST_CASE("load_model: a packed file has the vocabulary of its checkpoint") {
  const PackedExample& example = packed_example();
  const LoadedModel packed = transformer::load_model(example.file, true, pool());
  const LoadedModel original = transformer::load_model(example.checkpoint, false, pool());
  REQUIRE(original.checkpoint != nullptr);
  CHECK(original.packed == nullptr);
  const std::string text = "the same tokens";
  CHECK(packed.tokenizer.encode(text).ids == original.tokenizer.encode(text).ids);
  CHECK(packed.config.n_ctx == original.config.n_ctx);
}

TEST_CASE("load_model: what is no model is refused") {
  const TemporaryFolder folder;
  CHECK_THROWS_AS(transformer::load_model(folder / "missing", true, pool()), Error);
  CHECK_THROWS_AS(transformer::load_model(folder.path(), true, pool()), Error);
  CHECK_THROWS_AS(transformer::load_model(bundled / "model.safetensors", true, pool()), Error);
  CHECK_THROWS_AS(transformer::load_model(bundled / "config.json", true, pool()), Error);
}
