#include "transformer/random_checkpoint.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/safetensors_writer.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "transformer/model_shapes.hpp"

namespace transformer {
namespace {

/// Single precision numbers, so that 1e-05 is written as such.
using FloatJson = nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool,
                                       std::int64_t, std::uint64_t, float>;
using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::Half;
using nash_swarm::ThreadPool;

constexpr std::size_t byte_count = 256;

/// What the elements of a tensor are drawn from.
struct Distribution {
  double mean = 0.0;
  double deviation = 0.0;
};

struct RandomTensor {
  nash_swarm::TensorSpec spec;
  Distribution distribution;
};

std::vector<RandomTensor> random_tensors(const Config& config) {
  std::vector<RandomTensor> tensors;
  const double residual = 0.02 / std::sqrt(2.0 * static_cast<double>(config.n_layer));
  for (const MatrixShape& matrix : matrix_shapes(config)) {
    tensors.push_back({{matrix.name + ".weight", DataType::F16, stored_shape(config, matrix)},
                       {0.0, matrix.name.ends_with("c_proj") ? residual : 0.02}});
  }
  for (const TensorShape& tensor : other_tensor_shapes(config)) {
    Distribution distribution;
    if (tensor.shape.size() == 2) distribution.deviation = 0.01;
    if (tensor.name.ends_with(".weight") && tensor.shape.size() == 1) distribution.mean = 1.0;
    tensors.push_back({{tensor.name, DataType::F16, tensor.shape}, distribution});
  }
  return tensors;
}

/// A bijection that makes consecutive integers look random (splitmix64's output function; Steele,
/// Lea and Flood 2014, section 2).
constexpr std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr std::uint64_t golden_ratio = 0x9e3779b97f4a7c15u;

/// Sum of the eight bytes of a word, 0 … 2040.
constexpr std::size_t byte_sum(std::uint64_t word) {
  constexpr std::uint64_t even_bytes = 0x00ff00ff00ff00ffu;
  const std::uint64_t pairs = (word & even_bytes) + ((word >> 8) & even_bytes);
  return static_cast<std::size_t>((pairs * 0x0001000100010001u) >> 48);
}

/// Elements of a tensor by their index: the sum of eight random bytes is close to normal, and a
/// table has the F16 value for each of the sums.
class Elements {
 public:
  Elements(Distribution distribution, std::uint64_t key) : key_(key) {
    const double mean_of_sum = 8 * 127.5;
    const double deviation_of_sum = std::sqrt(8 * (256.0 * 256.0 - 1.0) / 12.0);
    for (std::size_t sum = 0; sum < values_.size(); ++sum) {
      const double normal = (static_cast<double>(sum) - mean_of_sum) / deviation_of_sum;
      values_[sum] = nash_swarm::to_half(
          static_cast<float>(distribution.mean + distribution.deviation * normal));
    }
  }

  void fill(std::size_t first, std::span<Half> elements) const {
    std::uint64_t counter = key_ + first * golden_ratio;
    for (Half& element : elements) {
      element = values_[byte_sum(scramble(counter))];
      counter += golden_ratio;
    }
  }

 private:
  std::uint64_t key_;
  std::array<Half, 8 * 255 + 1> values_;
};

std::size_t element_count(const std::vector<std::size_t>& shape) {
  std::size_t count = 1;
  for (const std::size_t extent : shape) count *= extent;
  return count;
}

void write_weights(const std::vector<RandomTensor>& tensors, std::uint64_t seed, ThreadPool& pool,
                   nash_swarm::SafetensorsWriter& writer) {
  constexpr std::size_t slice = std::size_t{1} << 16;
  constexpr std::size_t slices_at_once = 64;
  std::vector<Half> buffer(slice * slices_at_once);
  std::uint64_t key = scramble(seed + golden_ratio);
  for (const RandomTensor& tensor : tensors) {
    key = scramble(key + golden_ratio);
    const Elements elements(tensor.distribution, key);
    const std::size_t count = element_count(tensor.spec.shape);
    for (std::size_t first = 0; first < count; first += buffer.size()) {
      const std::span<Half> part = std::span(buffer).first(std::min(buffer.size(), count - first));
      pool.run((part.size() + slice - 1) / slice, [&](std::size_t task) {
        const std::size_t begin = task * slice;
        elements.fill(first + begin, part.subspan(begin, std::min(slice, part.size() - begin)));
      });
      writer.write(std::as_bytes(part));
    }
  }
}

std::string gpt2_config(const Config& config) {
  FloatJson json = {{"activation_function", "gelu_new"},
                    {"architectures", {"GPT2LMHeadModel"}},
                    {"attn_pdrop", 0.1f},
                    {"bos_token_id", config.vocab_size - 1},
                    {"embd_pdrop", 0.1f},
                    {"eos_token_id", config.vocab_size - 1},
                    {"initializer_range", 0.02f},
                    {"layer_norm_epsilon", config.norm_epsilon},
                    {"model_type", "gpt2"},
                    {"n_ctx", config.n_ctx},
                    {"n_embd", config.n_embd},
                    {"n_head", config.n_head},
                    {"n_inner", config.n_inner},
                    {"n_layer", config.n_layer},
                    {"n_positions", config.n_ctx},
                    {"resid_pdrop", 0.1f},
                    {"vocab_size", config.vocab_size}};
  if (config.n_inner == 4 * config.n_embd) json["n_inner"] = nullptr;
  return json.dump(2) + "\n";
}

/// The 256 characters that stand for bytes in GPT-2's vocabulary, in its order, as UTF-8.
std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens;
  const auto add = [&](unsigned first, unsigned last) {
    for (unsigned c = first; c <= last; ++c) {
      tokens.emplace_back();
      if (c >= 0x80) tokens.back() += static_cast<char>(0xc0 | (c >> 6));
      tokens.back() += static_cast<char>(c < 0x80 ? c : 0x80 | (c & 0x3f));
    }
  };
  add(0x21, 0x7e);
  add(0xa1, 0xac);
  add(0xae, 0xff);
  add(0x100, 0x143);
  return tokens;
}

/// The first `count` pairs of byte tokens; printable characters and the blank come early.
std::vector<std::pair<std::size_t, std::size_t>> merged_pairs(std::size_t count) {
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t larger = 0; larger < byte_count; ++larger) {
    for (std::size_t smaller = 0; smaller < larger; ++smaller) {
      pairs.emplace_back(smaller, larger);
      pairs.emplace_back(larger, smaller);
    }
    pairs.emplace_back(larger, larger);
  }
  pairs.resize(count);
  return pairs;
}

struct Vocabulary {
  std::string vocab_json;
  std::string merges_txt;
};

Vocabulary made_up_vocabulary(std::size_t size) {
  const std::size_t most = byte_count + byte_count * byte_count + 1;
  if (size <= byte_count || size > most) {
    throw Error("vocab_size", std::to_string(size) + " cannot be made up",
                "use 257 to " + std::to_string(most));
  }
  const std::vector<std::string> bytes = byte_tokens();
  Vocabulary vocabulary{"{", "#version: 0.2\n"};
  std::size_t id = 0;
  const auto add = [&](const std::string& token) {
    vocabulary.vocab_json +=
        (id == 0 ? "" : ", ") + FloatJson(token).dump() + ": " + std::to_string(id);
    ++id;
  };
  for (const std::string& token : bytes) add(token);
  for (const auto& [left, right] : merged_pairs(size - byte_count - 1)) {
    add(bytes[left] + bytes[right]);
    vocabulary.merges_txt += bytes[left] + " " + bytes[right] + "\n";
  }
  add("<|endoftext|>");
  vocabulary.vocab_json += "}";
  return vocabulary;
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw Error(folder.string(), "cannot be made a folder (" + error.message() + ")",
                "choose a folder that may be written to");
  }
}

/// The path of a file to be written, which must not replace one of another checkpoint.
std::filesystem::path new_file(const std::filesystem::path& folder, const char* name) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / name, ignored)) {
    throw Error((folder / name).string(), "exists already", "choose another folder");
  }
  return folder / name;
}

void write_text(const std::string& text, nash_swarm::AtomicFile& file) {
  file.write(std::as_bytes(std::span(text)));
}

}  // namespace

Config published_config(const std::string& size) {
  Config config;
  config.n_ctx = 1024;
  config.vocab_size = 50257;
  const auto set = [&](std::size_t layers, std::size_t heads, std::size_t width) {
    config.n_layer = layers;
    config.n_head = config.n_head_kv = heads;
    config.n_embd = width;
    config.n_inner = 4 * width;
    return config;
  };
  if (size == "124M") return set(12, 12, 768);
  if (size == "355M") return set(24, 16, 1024);
  if (size == "774M") return set(36, 20, 1280);
  if (size == "1.5B") return set(48, 25, 1600);
  throw Error("--size", "there is no GPT-2 of size \"" + size + "\"",
              "use 124M, 355M, 774M or 1.5B");
}

void write_random_checkpoint(const Config& config, const std::filesystem::path& folder,
                             std::uint64_t seed, ThreadPool& pool) {
  write_random_checkpoint(gpt2_config(config), folder, seed, pool);
}

void write_random_checkpoint(const std::string& config_json, const std::filesystem::path& folder,
                             std::uint64_t seed, ThreadPool& pool) {
  const Config config = parse_config(config_json, "config.json");
  const Vocabulary vocabulary = made_up_vocabulary(config.vocab_size);
  const std::vector<RandomTensor> tensors = random_tensors(config);
  std::vector<nash_swarm::TensorSpec> specs;
  for (const RandomTensor& tensor : tensors) specs.push_back(tensor.spec);
  const nash_swarm::SafetensorsLayout layout(std::move(specs), {{"format", "pt"}});

  make_folder(folder);
  nash_swarm::AtomicFile config_file(new_file(folder, "config.json"));
  nash_swarm::AtomicFile vocabulary_file(new_file(folder, "vocab.json"));
  nash_swarm::AtomicFile merges_file(new_file(folder, "merges.txt"));
  nash_swarm::SafetensorsWriter weights(new_file(folder, "model.safetensors"), layout);

  write_text(config_json, config_file);
  write_text(vocabulary.vocab_json, vocabulary_file);
  write_text(vocabulary.merges_txt, merges_file);
  write_weights(tensors, seed, pool, weights);

  config_file.commit();
  vocabulary_file.commit();
  merges_file.commit();
  weights.commit();
}

}  // namespace transformer
