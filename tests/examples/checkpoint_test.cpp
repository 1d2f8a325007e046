#include <doctest/doctest.h>
#include <stdlib.h>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/config.hpp"
#include "transformer/model.hpp"

namespace {

using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::ThreadPool;
using nash_swarm::test::contains;
using Json = nlohmann::json;

Json tiny_config() {
  return {{"model_type", "gpt2"}, {"n_embd", 8},      {"n_layer", 2},      {"n_head", 2},
          {"n_positions", 5},     {"vocab_size", 11}, {"n_inner", nullptr}};
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

std::string config_error(const char* key, const Json& value) {
  Json config = tiny_config();
  config[key] = value;
  return error_of([&] { transformer::parse_config(config.dump(), "x/config.json"); });
}

struct Tensor {
  std::string name;
  std::vector<std::size_t> shape;
  DataType type = DataType::F32;
  std::vector<float> values{};
};

std::size_t count_of(const std::vector<std::size_t>& shape) {
  std::size_t count = 1;
  for (const std::size_t extent : shape) count *= extent;
  return count;
}

/// All tensors of the tiny model; every value is exact in F32, F16 and BF16.
std::vector<Tensor> tiny_tensors(DataType type) {
  const transformer::Config config = transformer::parse_config(tiny_config().dump(), "config.json");
  std::vector<Tensor> tensors;
  for (const transformer::MatrixShape& matrix : transformer::matrix_shapes(config)) {
    if (matrix.name == "wte") {
      tensors.push_back({"wte.weight", {matrix.out, matrix.in}, type});
    } else {
      tensors.push_back({matrix.name + ".weight", {matrix.in, matrix.out}, type});
    }
  }
  for (const transformer::TensorShape& other : transformer::other_tensor_shapes(config)) {
    tensors.push_back({other.name, other.shape, type});
  }
  int state = 1;
  for (Tensor& tensor : tensors) {
    for (std::size_t i = 0; i < count_of(tensor.shape); ++i) {
      state = (state * 75 + 74) % 65537;
      tensor.values.push_back(static_cast<float>(state % 127 - 63) / 64.0f);
    }
  }
  return tensors;
}

Tensor& find(std::vector<Tensor>& tensors, const std::string& name) {
  for (Tensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  FAIL("no tensor ", name);
  return tensors.front();
}

void append(std::string& data, const Tensor& tensor) {
  for (const float value : tensor.values) {
    std::array<char, 4> bytes{};
    if (tensor.type == DataType::F16) {
      const nash_swarm::Half half = nash_swarm::to_half(value);
      std::memcpy(bytes.data(), &half, 2);
    } else if (tensor.type == DataType::BF16) {
      const nash_swarm::BFloat16 upper = nash_swarm::to_bfloat16(value);
      std::memcpy(bytes.data(), &upper, 2);
    } else {
      std::memcpy(bytes.data(), &value, 4);
    }
    data.append(bytes.data(), nash_swarm::size_of(tensor.type));
  }
}

/// A checkpoint folder that lives as long as the object.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "checkpoint.XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    write("config.json", tiny_config().dump());
    write("vocab.json", "{}");
    write("merges.txt", "#version: 0.2\n");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

  /// Writes model.safetensors by hand; the header's length is made even or odd with a space.
  void write_weights(const std::vector<Tensor>& tensors, bool odd = false,
                     const std::string& prefix = "",
                     const std::string& name = "model.safetensors") const {
    Json header;
    std::string data;
    for (const Tensor& tensor : tensors) {
      const std::size_t begin = data.size();
      append(data, tensor);
      header[prefix + tensor.name] = {{"dtype", nash_swarm::name_of(tensor.type)},
                                      {"shape", tensor.shape},
                                      {"data_offsets", {begin, data.size()}}};
    }
    std::string text = header.dump();
    if ((text.size() % 2 == 1) != odd) text += ' ';
    const std::uint64_t length = text.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &length, 8);
    write(name, file + text + data);
  }

 private:
  std::filesystem::path path_;
};

std::string open_error(const std::vector<Tensor>& tensors) {
  const Folder folder;
  folder.write_weights(tensors);
  return error_of([&] { const transformer::Checkpoint checkpoint(folder.path()); });
}

std::vector<float> run(const transformer::Checkpoint& checkpoint, bool resident) {
  ThreadPool pool(1);
  const transformer::Model model = transformer::make_float_model(checkpoint, resident);
  const std::vector<std::int32_t> tokens{3, 1, 4, 10, 5};
  const transformer::FloatMatrix hidden = transformer::hidden_states(model, tokens, 1, pool);
  return std::vector<float>(hidden.view().data(), hidden.view().data() + 5 * 8);
}

}  // namespace

TEST_CASE("a config gives the sizes, with the defaults of absent keys") {
  const transformer::Config config = transformer::parse_config(tiny_config().dump(), "config.json");
  CHECK(config.n_embd == 8);
  CHECK(config.n_layer == 2);
  CHECK(config.n_head == 2);
  CHECK(config.head_size() == 4);
  CHECK(config.n_ctx == 5);
  CHECK(config.vocab_size == 11);
  CHECK(config.n_inner == 32);
  CHECK(config.norm_epsilon == 1e-5f);

  Json other = tiny_config();
  other.erase("n_positions");
  other["n_ctx"] = 9;
  other["n_inner"] = 20;
  other["layer_norm_epsilon"] = 0.25;
  const transformer::Config second = transformer::parse_config(other.dump(), "config.json");
  CHECK(second.n_ctx == 9);
  CHECK(second.n_inner == 20);
  CHECK(second.norm_epsilon == 0.25f);
}

TEST_CASE("a config that cannot be run is refused by file and key") {
  struct Case {
    const char* key;
    Json value;
    const char* problem;
  };
  const Case cases[] = {
      {"model_type", "mamba", "'mamba' is not supported"},
      {"activation_function", "relu", "'relu' is not supported"},
      {"tie_word_embeddings", false, "false is not supported"},
      {"scale_attn_by_inverse_layer_idx", true, "true is not supported"},
      {"scale_attn_weights", false, "false is not supported"},
      {"add_cross_attention", true, "true is not supported"},
      {"n_head", 3, "3 does not divide \"n_embd\" 8"},
      {"n_head", 0, "0 is not a whole number"},
      {"n_embd", -8, "-8 is not a whole number"},
      {"n_layer", 2.5, "2.5 is not a whole number"},
      {"n_layer", 1000000000, "is not a whole number from 1 to 4096"},
      {"vocab_size", "11", "is not a whole number"},
      {"vocab_size", nullptr, "missing"},
      {"n_positions", 18446744073709551615u, "is not a whole number"},
      {"n_ctx", 6, "differs from \"n_positions\""},
      {"n_inner", 0, "0 is not a whole number"},
      {"layer_norm_epsilon", -1.0, "-1.0 is not a positive number"},
      {"layer_norm_epsilon", "small", "is not a positive number"},
  };
  for (const Case& wrong : cases) {
    const std::string message = config_error(wrong.key, wrong.value);
    CAPTURE(wrong.key);
    CAPTURE(message);
    CHECK(contains(message, "x/config.json: \"" + std::string(wrong.key) + "\": "));
    CHECK(contains(message, wrong.problem));
    CHECK(contains(message, "; "));  // a remedy follows
  }
  CHECK(contains(error_of([] { transformer::parse_config("{\"n_embd\": ", "c.json"); }),
                 "c.json: not valid"));
  CHECK(contains(error_of([] { transformer::parse_config("[1]", "c.json"); }),
                 "c.json: not a JSON object"));
  CHECK(contains(
      error_of([] { transformer::parse_config(R"({"n_embd": 8, "n_embd": 9})", "c.json"); }),
      "c.json: 'n_embd' occurs twice; "));
  CHECK(contains(error_of([] { transformer::parse_config(R"({"x": 1e400})", "c.json"); }),
                 "c.json: a number in it is too large; "));
}

TEST_CASE("a config whose values are nested without end is refused by file and key") {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  const auto message = [&](const std::string& key) {
    Json config = tiny_config();
    config.erase(key);
    const std::string text = "{\"" + key + "\": " + deep + ", " + config.dump().substr(1);
    return error_of([&] { transformer::parse_config(text, "c.json"); });
  };
  for (const char* const key :
       {"model_type", "n_embd", "layer_norm_epsilon", "add_cross_attention"}) {
    CHECK(contains(message(key), "c.json: \"" + std::string(key) + "\": a list is not "));
  }
  CHECK(message("unknown").empty());
}

TEST_CASE("names with and without prefix, every float type and alignment load alike") {
  const Folder plain;
  plain.write_weights(tiny_tensors(DataType::F32));
  const transformer::Checkpoint original(plain.path());
  const std::vector<float> expected = run(original, true);
  CHECK(expected == run(original, false));

  for (const DataType type : {DataType::F32, DataType::F16, DataType::BF16}) {
    for (const char* const prefix : {"", "transformer."}) {
      for (const bool odd : {false, true}) {
        CAPTURE(nash_swarm::name_of(type));
        CAPTURE(prefix);
        CAPTURE(odd);
        const Folder folder;
        folder.write_weights(tiny_tensors(type), odd, prefix);
        const transformer::Checkpoint checkpoint(folder.path());
        CHECK(run(checkpoint, true) == expected);
        CHECK(run(checkpoint, false) == expected);
      }
    }
  }
}

TEST_CASE("a checkpoint lists its matrices and counts its parameters") {
  const Folder folder;
  std::vector<Tensor> tensors = tiny_tensors(DataType::F16);
  std::size_t parameters = 0;
  for (const Tensor& tensor : tensors) parameters += tensor.values.size();
  tensors.push_back({"h.0.attn.bias", {1, 1, 5, 5}, DataType::F32, std::vector<float>(25, 1.0f)});
  tensors.push_back({"h.1.attn.masked_bias", {}, DataType::F32, {-1e4f}});
  tensors.push_back({"lm_head.weight", {11, 8}, DataType::F16, std::vector<float>(88, 0.5f)});
  folder.write_weights(tensors);
  const transformer::Checkpoint checkpoint(folder.path());

  CHECK(checkpoint.parameter_count() == parameters);
  CHECK(checkpoint.float32_bytes() == 4 * parameters);
  CHECK(checkpoint.matrices().size() == 9);
  REQUIRE(checkpoint.tokenizer_files().size() == 2);
  CHECK(checkpoint.tokenizer_files()[0].text == "{}");
  CHECK(checkpoint.tokenizer_files()[1].text == "#version: 0.2\n");
  const transformer::WeightSource& source = *checkpoint.matrix("h.1.mlp.c_proj");
  REQUIRE(source.out_features() == 8);
  REQUIRE(source.in_features() == 32);
  transformer::FloatMatrix rows(2, 32);
  source.read_rows(5, rows.view());
  const std::vector<float>& stored = find(tensors, "h.1.mlp.c_proj.weight").values;  // [in, out]
  CHECK(rows.view()(0, 0) == stored[5]);
  CHECK(rows.view()(1, 31) == stored[31 * 8 + 6]);
  CHECK_THROWS_AS(source.read_rows(7, rows.view()), Error);
  CHECK_THROWS_AS(checkpoint.matrix("h.2.mlp.c_proj"), Error);
  CHECK_THROWS_AS(checkpoint.floats("ln_g.weight"), Error);
}

TEST_CASE("the bundled GPT-2 has its published size") {
  const transformer::Checkpoint checkpoint(std::filesystem::path(NASH_SWARM_EXAMPLE_DATA) /
                                           "wiki-gpt2");
  CHECK(checkpoint.parameter_count() == 5853184);
  ThreadPool pool(2);
  CHECK_NOTHROW(checkpoint.check_finite(pool));
}

TEST_CASE("a transform replaces the matrices of a model") {
  class Negated : public transformer::WeightSource {
   public:
    explicit Negated(std::shared_ptr<const WeightSource> original)
        : original_(std::move(original)) {}
    std::size_t out_features() const override { return original_->out_features(); }
    std::size_t in_features() const override { return original_->in_features(); }
    const std::string& name() const override { return original_->name(); }
    void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const override {
      original_->read_rows(begin, rows);
      for (std::size_t i = 0; i < rows.size(); ++i) rows.data()[i] = -rows.data()[i];
    }

   private:
    std::shared_ptr<const WeightSource> original_;
  };
  const Folder folder;
  folder.write_weights(tiny_tensors(DataType::F32));
  const transformer::Checkpoint checkpoint(folder.path());
  const transformer::Model model = transformer::make_float_model(
      checkpoint, false, [](const std::shared_ptr<const transformer::WeightSource>& original) {
        return std::make_shared<Negated>(original);
      });
  transformer::FloatMatrix row(1, 8), original(1, 8);
  const std::vector<std::int32_t> token{4};
  model.token_embedding->lookup(token, row.view());
  checkpoint.matrix("wte")->read_rows(4, original.view());
  for (std::size_t i = 0; i < 8; ++i) CHECK(row.view()(0, i) == -original.view()(0, i));
}

TEST_CASE("NaN and infinity are named by tensor and index in stored order") {
  const auto finite_error = [](const std::vector<Tensor>& tensors, const std::string& prefix) {
    const Folder folder;
    folder.write_weights(tensors, true, prefix);
    const transformer::Checkpoint checkpoint(folder.path());
    ThreadPool pool(2);
    return error_of([&] { checkpoint.check_finite(pool); });
  };
  for (const DataType type : {DataType::F32, DataType::F16, DataType::BF16}) {
    CAPTURE(nash_swarm::name_of(type));
    std::vector<Tensor> tensors = tiny_tensors(type);
    CHECK(finite_error(tensors, "") == "");
    std::vector<float>& values = find(tensors, "h.1.mlp.c_fc.weight").values;  // [8, 32]
    values[5 * 32 + 7] = std::numeric_limits<float>::quiet_NaN();
    values[6 * 32] = std::numeric_limits<float>::infinity();
    CHECK(finite_error(tensors, "").starts_with("h.1.mlp.c_fc.weight: NaN at [5, 7] of "));
    CHECK(finite_error(tensors, "transformer.")
              .starts_with("transformer.h.1.mlp.c_fc.weight: NaN at [5, 7] of "));
    values[5 * 32 + 7] = 0.0f;
    CHECK(finite_error(tensors, "").starts_with("h.1.mlp.c_fc.weight: infinity at [6, 0] of "));
  }
  std::vector<Tensor> tensors = tiny_tensors(DataType::F16);
  find(tensors, "ln_f.bias").values[7] = -std::numeric_limits<float>::infinity();
  CHECK(finite_error(tensors, "").starts_with("ln_f.bias: infinity at [7] of "));
  tensors = tiny_tensors(DataType::F16);
  tensors.push_back(
      {"h.0.attn.masked_bias", {1}, DataType::F32, {-std::numeric_limits<float>::infinity()}});
  CHECK(finite_error(tensors, "") == "");
}

TEST_CASE("tensors that do not fit the config are refused by name") {
  std::vector<Tensor> tensors = tiny_tensors(DataType::F32);
  CHECK(open_error(tensors) == "");

  tensors.push_back({"h.2.ln_1.weight", {8}, DataType::F32, std::vector<float>(8)});
  CHECK(contains(open_error(tensors), "h.2.ln_1.weight: is no tensor"));

  tensors = tiny_tensors(DataType::F32);
  tensors.push_back({"lm_head.weight", {12, 8}, DataType::F32, std::vector<float>(96)});
  CHECK(contains(open_error(tensors), "lm_head.weight: is no tensor"));

  tensors = tiny_tensors(DataType::F32);
  tensors.push_back(find(tensors, "ln_f.bias"));
  tensors.back().name = "transformer.ln_f.bias";
  CHECK(contains(open_error(tensors), "ln_f.bias: is stored with and without"));

  for (const char* const name : {"h.1.attn.c_attn.weight", "wte.weight", "h.0.mlp.c_fc.bias"}) {
    CAPTURE(name);
    tensors = tiny_tensors(DataType::F32);
    find(tensors, name).name = "h.0.attn.masked_bias";
    CHECK(contains(open_error(tensors), std::string(name) + ": is missing"));

    tensors = tiny_tensors(DataType::F32);
    Tensor& wrong = find(tensors, name);
    wrong.shape.insert(wrong.shape.begin(), 1);
    CHECK(contains(open_error(tensors), std::string(name) + ": has shape [1, "));

    tensors = tiny_tensors(DataType::F32);
    find(tensors, name).type = DataType::I32;
    CHECK(contains(open_error(tensors), std::string(name) + ": is stored as I32"));
  }
  tensors = tiny_tensors(DataType::F32);
  find(tensors, "h.0.attn.c_attn.weight").shape = {24, 8};  // [out, in] is not how Conv1D lies
  CHECK(contains(open_error(tensors), "has shape [24, 8]"));
  CHECK(contains(open_error(tensors), "asks for [8, 24]"));
}

TEST_CASE("a checkpoint in shards is the same as in one file") {
  const std::vector<Tensor> tensors = tiny_tensors(DataType::F16);
  const Folder whole;
  whole.write_weights(tensors);
  const transformer::Checkpoint expected(whole.path());

  const Folder folder;
  const auto half = static_cast<std::ptrdiff_t>(tensors.size() / 2);
  folder.write_weights({tensors.begin(), tensors.begin() + half}, false, "", "a.safetensors");
  folder.write_weights({tensors.begin() + half, tensors.end()}, true, "", "b.safetensors");
  Json map;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    map[tensors[i].name] = i < static_cast<std::size_t>(half) ? "a.safetensors" : "b.safetensors";
  }
  const auto write_index = [&](const Json& weight_map) {
    folder.write("model.safetensors.index.json", Json{{"weight_map", weight_map}}.dump());
  };
  const auto open = [&] {
    return error_of([&] { transformer::Checkpoint opened(folder.path()); });
  };
  write_index(map);
  CHECK(transformer::Checkpoint(folder.path()).fingerprint() == expected.fingerprint());

  Json wrong = map;
  wrong.erase("ln_f.bias");
  write_index(wrong);
  CHECK(contains(open(), "ln_f.bias: is in "));
  wrong["ln_f.bias"] = "a.safetensors";
  write_index(wrong);
  CHECK(contains(open(), "ln_f.bias: is in "));
  wrong = map;
  wrong["h.9.ln_1.bias"] = "b.safetensors";
  write_index(wrong);
  CHECK(contains(open(), "h.9.ln_1.bias: is not in "));
  wrong["h.9.ln_1.bias"] = "c.safetensors";
  write_index(wrong);
  CHECK(contains(open(), "c.safetensors"));
  wrong["h.9.ln_1.bias"] = "../b.safetensors";
  write_index(wrong);
  CHECK(contains(open(), "is no file name"));
  const std::string text = Json{{"weight_map", map}}.dump();
  const std::string twice = R"("wte.weight":"b.safetensors",)";
  folder.write("model.safetensors.index.json", text.substr(0, 15) + twice + text.substr(15));
  CHECK(contains(open(), "index.json: 'wte.weight' occurs twice"));
  folder.write("model.safetensors.index.json", "{\"weight_map\": ");
  CHECK(contains(open(), "not valid JSON"));
  folder.write("model.safetensors.index.json", "{}");
  CHECK(contains(open(), "has no \"weight_map\""));
}

TEST_CASE("every file of the folder is needed") {
  for (const char* const name : {"config.json", "vocab.json", "merges.txt", "model.safetensors"}) {
    CAPTURE(name);
    const Folder folder;
    folder.write_weights(tiny_tensors(DataType::F32));
    std::filesystem::remove(folder.path() / name);
    CHECK(
        contains(error_of([&] { const transformer::Checkpoint checkpoint(folder.path()); }), name));
  }
  CHECK_THROWS_AS(transformer::Checkpoint("/nowhere/at/all"), Error);
}
