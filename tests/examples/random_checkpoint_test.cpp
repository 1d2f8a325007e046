#include "transformer/random_checkpoint.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/load_model.hpp"
#include "transformer/loss.hpp"
#include "transformer/tokenizer.hpp"
#include "transformer/uniform_file.hpp"

namespace {

using nash_swarm::Error;
using nash_swarm::ThreadPool;
using nash_swarm::test::read_text;
using nash_swarm::test::TemporaryFolder;
using transformer::Config;

/// Large enough that several slices of a tensor are drawn by different threads.
Config small_config() {
  Config config;
  config.n_embd = 96;
  config.n_layer = 2;
  config.n_head = config.n_head_kv = 4;
  config.n_ctx = 48;
  config.vocab_size = 2000;
  config.n_inner = 384;
  return config;
}

void write(const std::filesystem::path& folder, std::uint64_t seed, std::size_t threads = 2,
           const Config& config = small_config()) {
  ThreadPool pool(threads);
  transformer::write_random_checkpoint(config, folder, seed, pool);
}

transformer::Tokenizer tokenizer_in(const std::filesystem::path& folder) {
  return transformer::Tokenizer::from_text(read_text(folder / "vocab.json"),
                                           read_text(folder / "merges.txt"), "vocab.json",
                                           "merges.txt");
}

struct Moments {
  double mean = 0.0;
  double deviation = 0.0;
};

Moments moments_of(const nash_swarm::AlignedBuffer<float>& values) {
  double sum = 0.0;
  double squares = 0.0;
  for (const float value : values) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto count = static_cast<double>(values.size());
  return {sum / count, std::sqrt(squares / count - sum * sum / count / count)};
}

}  // namespace

TEST_CASE("random checkpoint: the published sizes have the published numbers of parameters") {
  const auto parameters = [](const char* size) {
    const Config config = transformer::published_config(size);
    std::size_t total = 0;
    for (const auto& matrix : transformer::matrix_shapes(config)) total += matrix.out * matrix.in;
    for (const auto& tensor : transformer::other_tensor_shapes(config)) {
      std::size_t count = 1;
      for (const std::size_t extent : tensor.shape) count *= extent;
      total += count;
    }
    return total;
  };
  CHECK(parameters("124M") == 124439808);
  CHECK(parameters("355M") == 354823168);
  CHECK(parameters("774M") == 774030080);
  CHECK(parameters("1.5B") == 1557611200);
  CHECK(transformer::published_config("1.5B").n_head == 25);
  CHECK_THROWS_AS(transformer::published_config("125M"), Error);
}

TEST_CASE("random checkpoint: it loads, and its loss is near that of a uniform guess") {
  const TemporaryFolder folder;
  write(folder / "model", 1);
  ThreadPool pool(2);
  const transformer::LoadedModel loaded = transformer::load_model(folder / "model", true, pool);
  CHECK(loaded.name == "model");
  CHECK(loaded.config.n_layer == 2);
  CHECK(loaded.config.norm_epsilon == 1e-5f);

  std::vector<std::int32_t> tokens = loaded.tokenizer.encode("Made-up words, many of them.").ids;
  REQUIRE(tokens.size() > 8);
  const std::vector<std::int32_t> targets(tokens.begin() + 1, tokens.end());
  tokens.pop_back();
  const auto hidden = transformer::hidden_states(loaded.model, tokens, 1, pool);
  double loss = 0.0;
  for (const double token : transformer::token_losses(loaded.model, hidden.view(), targets, pool)) {
    loss += token / static_cast<double>(targets.size());
  }
  CHECK(std::abs(loss - std::log(2000.0)) < 0.3);
}

TEST_CASE("uniform file: every matrix has the format, and the model is nearly that of the floats") {
  const TemporaryFolder folder;
  write(folder / "model", 3);
  ThreadPool pool(2);
  const transformer::Checkpoint checkpoint(folder / "model");
  const nash_swarm::FormatId linear8 =
      nash_swarm::format_table[nash_swarm::format_index("linear8")].id;
  transformer::write_uniform_file(checkpoint, linear8, folder / "packed", pool);
  const transformer::LoadedModel packed = transformer::load_model(folder / "packed", false, pool);
  CHECK(packed.packed->matrices().size() == checkpoint.matrices().size());
  for (const nash_swarm::PackedMatrix& matrix : packed.packed->matrices()) {
    for (std::size_t panel = 0; panel < matrix.cells().panels(); ++panel) {
      for (const nash_swarm::FormatId format : matrix.cells().panel(panel)) {
        CHECK(format == linear8);
      }
    }
  }
  const std::vector<std::int32_t> tokens = {5, 17, 300, 42, 42, 399, 0, 256};
  const auto found = transformer::hidden_states(packed.model, tokens, 1, pool);
  const auto expected =
      transformer::hidden_states(transformer::make_float_model(checkpoint, true), tokens, 1, pool);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (std::size_t k = 0; k < found.columns(); ++k) {
      CHECK(std::abs(found.view()(t, k) - expected.view()(t, k)) < 0.1f);
    }
  }
}

TEST_CASE("random checkpoint: weights have the scale of GPT-2's initialisation") {
  const TemporaryFolder folder;
  write(folder / "model", 2);
  const transformer::Checkpoint checkpoint(folder / "model");
  CHECK(checkpoint.data_type("wte.weight") == nash_swarm::DataType::F16);
  const auto check = [&](const char* tensor, double mean, double deviation) {
    CAPTURE(tensor);
    const Moments moments = moments_of(checkpoint.floats(tensor));
    CHECK(std::abs(moments.mean - mean) <= 0.05 * deviation);
    CHECK(std::abs(moments.deviation - deviation) <= 0.05 * deviation);
  };
  check("wte.weight", 0.0, 0.02);
  check("h.0.attn.c_attn.weight", 0.0, 0.02);
  check("h.1.mlp.c_fc.weight", 0.0, 0.02);
  check("h.1.attn.c_proj.weight", 0.0, 0.01);
  check("h.0.mlp.c_proj.weight", 0.0, 0.01);
  check("wpe.weight", 0.0, 0.01);
  check("h.0.ln_1.weight", 1.0, 0.0);
  check("ln_f.bias", 0.0, 0.0);
  check("h.0.mlp.c_fc.bias", 0.0, 0.0);
}

TEST_CASE("random checkpoint: the weights follow from the seed, not from the threads") {
  const TemporaryFolder folder;
  write(folder / "one", 3, 1);
  write(folder / "three", 3, 3);
  write(folder / "other", 4, 1);
  for (const char* file : {"config.json", "vocab.json", "merges.txt", "model.safetensors"}) {
    CAPTURE(file);
    CHECK(read_text(folder / "one" / file) == read_text(folder / "three" / file));
  }
  CHECK(read_text(folder / "one" / "model.safetensors") !=
        read_text(folder / "other" / "model.safetensors"));

  const transformer::Checkpoint checkpoint(folder / "one");
  const auto first = checkpoint.floats("h.0.attn.c_attn.weight");
  const auto second = checkpoint.floats("h.1.attn.c_attn.weight");
  CHECK_FALSE(std::equal(first.begin(), first.end(), second.begin()));
}

TEST_CASE("random checkpoint: the vocabulary of full size is valid and merges pairs") {
  Config config = small_config();
  config.vocab_size = 50257;
  config.n_embd = 4;
  config.n_inner = 16;
  const TemporaryFolder folder;
  write(folder.path(), 5, 1, config);
  const transformer::Tokenizer tokenizer = tokenizer_in(folder.path());
  CHECK(tokenizer.vocabulary_size() == 50257);
  CHECK(tokenizer.end_of_text() == 50256);
  const std::string text = "a few words\n\xc3\xa9 \x01\xff";
  const std::vector<std::int32_t> ids = tokenizer.encode(text).ids;
  CHECK(ids.size() < text.size());
  CHECK(tokenizer.decode(ids) == text);
}

TEST_CASE("random checkpoint: no file is replaced, and nothing is left of what failed") {
  const TemporaryFolder folder;
  for (const char* file : {"config.json", "vocab.json", "merges.txt", "model.safetensors"}) {
    CAPTURE(file);
    const std::filesystem::path target = folder / (std::string("with_") + file);
    std::filesystem::create_directory(target);
    nash_swarm::test::write_text(target / file, "mine");
    CHECK_THROWS_AS(write(target, 1), Error);
    CHECK(read_text(target / file) == "mine");
    CHECK(std::distance(std::filesystem::directory_iterator(target),
                        std::filesystem::directory_iterator()) == 1);
  }
  nash_swarm::test::write_text(folder / "file", "");
  CHECK_THROWS_AS(write(folder / "file", 1), Error);
  CHECK_THROWS_AS(write(folder / "file" / "below", 1), Error);
}

TEST_CASE("random checkpoint: a vocabulary without the bytes or beyond all pairs is refused") {
  const TemporaryFolder folder;
  Config config = small_config();
  config.n_embd = 4;
  config.n_inner = 16;
  for (const std::size_t size : {std::size_t{256}, std::size_t{65794}}) {
    config.vocab_size = size;
    CHECK_THROWS_AS(write(folder / "model", 1, 1, config), Error);
  }
  CHECK(folder.entries() == 0);
  for (const std::size_t size : {std::size_t{257}, std::size_t{65793}}) {
    config.vocab_size = size;
    const std::filesystem::path target = folder / std::to_string(size);
    write(target, 1, 1, config);
    CHECK_NOTHROW(tokenizer_in(target));
  }
}
