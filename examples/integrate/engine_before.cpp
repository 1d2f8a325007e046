/// A small GPT-2 engine in one file: float weights, a key-value cache, greedy generation.
///
///     engine FOLDER THREADS COUNT TOKEN...
///
/// reads config.json and model.safetensors (halves) and prints COUNT tokens that follow the given.

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

std::atomic<bool> interrupted = false;  // by Ctrl-C

/// Memory for weights, aligned to a cache line.
std::shared_ptr<std::byte> allocate(std::size_t bytes) {
  void* const memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory == nullptr) throw std::bad_alloc();
  return {static_cast<std::byte*>(memory), std::free};
}

/// Threads that share out the indices of a loop.
class Threads {
 public:
  explicit Threads(std::size_t count) {
    for (std::size_t i = 1; i < count; ++i) workers_.emplace_back([this] { work(); });
  }
  ~Threads() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void parallel_for(std::size_t count, const std::function<void(std::size_t)>& body) {
    if (count == 1 || workers_.empty()) {
      for (std::size_t index = 0; index < count; ++index) body(index);
      return;
    }
    std::unique_lock lock(mutex_);
    body_ = &body;
    count_ = count;
    next_ = 0;
    running_ = workers_.size() + 1;
    ++round_;
    wake_.notify_all();
    take_indices(lock);
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  void take_indices(std::unique_lock<std::mutex>& lock) {
    while (next_ < count_) {
      const std::size_t index = next_++;
      lock.unlock();
      (*body_)(index);
      lock.lock();
    }
    if (--running_ == 0) done_.notify_one();
  }

  void work() {
    std::unique_lock lock(mutex_);
    for (std::size_t seen = 0;; seen = round_) {
      wake_.wait(lock, [&] { return stopping_ || round_ != seen; });
      if (stopping_) return;
      take_indices(lock);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(std::size_t)>* body_ = nullptr;
  std::size_t count_ = 0, next_ = 0, running_ = 0, round_ = 0;
  bool stopping_ = false;
};

struct Matrix {
  std::size_t out = 0, in = 0;
  std::shared_ptr<float> weights;  // [out, in]
};

/// y [out] = the matrix times x [in].
void multiply(const Matrix& matrix, const float* x, float* y, Threads& threads) {
  constexpr std::size_t rows = 64, lanes = 16;
  threads.parallel_for((matrix.out + rows - 1) / rows, [&](std::size_t task) {
    for (std::size_t r = task * rows; r < std::min(matrix.out, (task + 1) * rows); ++r) {
      const float* const row = matrix.weights.get() + r * matrix.in;
      float sums[lanes] = {};
      for (std::size_t k = 0; k + lanes <= matrix.in; k += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) sums[lane] += row[k + lane] * x[k + lane];
      }
      y[r] = 0.0f;
      for (const float sum : sums) y[r] += sum;
    }
  });
}

void copy_row(const Matrix& matrix, std::size_t row, float* target) {
  std::copy_n(matrix.weights.get() + row * matrix.in, matrix.in, target);
}

float from_half(std::uint16_t half) {
  const float magnitude = std::bit_cast<float>((half & 0x7fffu) << 13) * 0x1p112f;
  return half & 0x8000u ? -magnitude : magnitude;
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The numbers that follow a key of JSON text without blanks.
std::vector<std::size_t> numbers_after(const std::string& json, const std::string& key,
                                       std::size_t from = 0) {
  const std::size_t place = json.find('"' + key + "\":", from);
  if (place == std::string::npos) throw std::runtime_error("there is no \"" + key + '"');
  std::istringstream text(json.substr(place + key.size() + 3, 100));
  if (text.peek() == '[') text.get();
  std::vector<std::size_t> numbers;
  for (std::size_t number = 0; text >> number; text.get()) numbers.push_back(number);
  if (numbers.empty()) throw std::runtime_error("no numbers after \"" + key + '"');
  return numbers;
}

std::string without_blanks(std::string text) {
  std::erase(text, ' ');
  return text;
}

/// A safetensors file of halves.
class Checkpoint {
 public:
  explicit Checkpoint(const std::string& path) : file_(path, std::ios::binary) {
    std::uint64_t length = 0;
    file_.read(reinterpret_cast<char*>(&length), sizeof length);
    if (!file_ || length > (1u << 26)) throw std::runtime_error(path + " is no safetensors file");
    header_.resize(length);
    file_.read(header_.data(), static_cast<std::streamsize>(length));
    data_ = 8 + length;
    header_ = without_blanks(header_);
  }

  bool has(const std::string& name) const {
    return header_.find('"' + name + "\":{") != std::string::npos;
  }

  std::vector<float> read(const std::string& name, std::vector<std::size_t>* shape = nullptr) {
    const std::size_t entry = header_.find('"' + name + "\":{\"dtype\":\"F16\"");
    if (entry == std::string::npos) throw std::runtime_error("no tensor of halves: " + name);
    if (shape != nullptr) *shape = numbers_after(header_, "shape", entry);
    const std::vector<std::size_t> range = numbers_after(header_, "data_offsets", entry);
    std::vector<std::uint16_t> halves((range.at(1) - range.at(0)) / 2);
    file_.seekg(static_cast<std::streamoff>(data_ + range[0]));
    file_.read(reinterpret_cast<char*>(halves.data()),
               static_cast<std::streamsize>(2 * halves.size()));
    if (!file_) throw std::runtime_error(name + " is cut off");
    std::vector<float> values(halves.size());
    std::transform(halves.begin(), halves.end(), values.begin(), from_half);
    return values;
  }

  /// GPT-2 stores all matrices but the embedding as [in, out].
  Matrix read_matrix(const std::string& name) {
    std::vector<std::size_t> shape;
    const std::vector<float> values = read(name + ".weight", &shape);
    const bool transposed = name != "wte";
    Matrix matrix{shape.at(transposed), shape.at(!transposed), nullptr};
    matrix.weights = std::reinterpret_pointer_cast<float>(allocate(values.size() * sizeof(float)));
    for (std::size_t r = 0; r < matrix.out; ++r) {
      for (std::size_t k = 0; k < matrix.in; ++k) {
        matrix.weights.get()[r * matrix.in + k] =
            transposed ? values[k * matrix.out + r] : values[r * matrix.in + k];
      }
    }
    return matrix;
  }

 private:
  std::ifstream file_;
  std::string header_;
  std::uint64_t data_ = 0;
};

struct Model {
  std::size_t layers = 0, heads = 0, width = 0, context = 0, vocabulary = 0;
  std::map<std::string, Matrix> matrices;
  std::map<std::string, std::vector<float>> vectors;
};

void show_progress(const char* what, const std::string& name) {
  std::fprintf(stderr, "\r%s %-24s", what, name.c_str());
}

Model load(const std::string& folder) {
  Model model;
  const std::string config = without_blanks(read_text(folder + "/config.json"));
  model.heads = numbers_after(config, "n_head")[0];
  model.vocabulary = numbers_after(config, "vocab_size")[0];
  Checkpoint file(folder + "/model.safetensors");
  std::vector<std::string> names = {"wte"};
  const auto add_vector = [&](const std::string& name) { model.vectors[name] = file.read(name); };
  for (std::string h = "h.0."; file.has(h + "ln_1.weight");
       h = "h." + std::to_string(++model.layers) + ".") {
    for (const char* name : {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}) {
      names.push_back(h + name);
      add_vector(h + name + ".bias");
    }
    for (const char* name : {"ln_1.weight", "ln_1.bias", "ln_2.weight", "ln_2.bias"}) {
      add_vector(h + name);
    }
  }
  for (const char* name : {"wpe.weight", "ln_f.weight", "ln_f.bias"}) add_vector(name);
  model.width = model.vectors["ln_f.bias"].size();
  model.context = model.vectors["wpe.weight"].size() / model.width;
  for (const std::string& name : names) {
    model.matrices[name] = file.read_matrix(name);
    show_progress("read", name);
  }
  return model;
}

/// Runs one token at a time.
class Engine {
 public:
  Engine(const Model& model, Threads& threads)
      : model_(model), threads_(threads), keys_(model.layers), values_(model.layers) {}

  /// The logits of what follows a token.
  const std::vector<float>& step(std::size_t token) {
    const std::size_t width = model_.width;
    std::vector<float> x(width);
    copy_row(model_.matrices.at("wte"), token, x.data());
    const float* const place = vector("wpe.weight") + position_++ * width;
    for (std::size_t k = 0; k < width; ++k) x[k] += place[k];
    for (std::size_t layer = 0; layer < model_.layers; ++layer) {
      const std::string h = "h." + std::to_string(layer) + ".";
      add(x, linear(h + "attn.c_proj",
                    attend(layer, linear(h + "attn.c_attn", normalise(x, h + "ln_1")))));
      std::vector<float> up = linear(h + "mlp.c_fc", normalise(x, h + "ln_2"));
      for (float& u : up) {
        u = 0.5f * u * (1.0f + std::tanh(0.7978845608f * (u + 0.044715f * u * u * u)));
      }
      add(x, linear(h + "mlp.c_proj", up));
    }
    logits_.resize(model_.vocabulary);
    multiply(model_.matrices.at("wte"), normalise(x, "ln_f").data(), logits_.data(), threads_);
    return logits_;
  }

 private:
  const float* vector(const std::string& name) const { return model_.vectors.at(name).data(); }

  static void add(std::vector<float>& x, const std::vector<float>& y) {
    for (std::size_t k = 0; k < x.size(); ++k) x[k] += y[k];
  }

  std::vector<float> linear(const std::string& name, const std::vector<float>& x) {
    std::vector<float> y(model_.vectors.at(name + ".bias").size());
    multiply(model_.matrices.at(name), x.data(), y.data(), threads_);
    add(y, model_.vectors.at(name + ".bias"));
    return y;
  }

  std::vector<float> normalise(const std::vector<float>& x, const std::string& name) const {
    float mean = 0.0f, variance = 0.0f;
    for (const float value : x) mean += value / static_cast<float>(x.size());
    for (const float value : x) {
      variance += (value - mean) * (value - mean) / static_cast<float>(x.size());
    }
    std::vector<float> y(x.size());
    const float *const weight = vector(name + ".weight"), *const bias = vector(name + ".bias");
    for (std::size_t k = 0; k < x.size(); ++k) {
      y[k] = (x[k] - mean) / std::sqrt(variance + 1e-5f) * weight[k] + bias[k];
    }
    return y;
  }

  /// @param qkv query, key and value of the newest token
  std::vector<float> attend(std::size_t layer, const std::vector<float>& qkv) {
    const std::size_t width = model_.width, size = width / model_.heads;
    std::vector<float>&keys = keys_[layer], &values = values_[layer], y(width), shares(position_);
    const float* const key = qkv.data() + width;
    keys.insert(keys.end(), key, key + width);
    values.insert(values.end(), key + width, key + 2 * width);
    for (std::size_t first = 0; first < width; first += size) {
      float largest = -INFINITY, sum = 0.0f;
      for (std::size_t t = 0; t < position_; ++t) {
        float score = 0.0f;
        for (std::size_t k = first; k < first + size; ++k) score += qkv[k] * keys[t * width + k];
        shares[t] = score / std::sqrt(static_cast<float>(size));
        largest = std::max(largest, shares[t]);
      }
      for (float& share : shares) sum += share = std::exp(share - largest);
      for (std::size_t t = 0; t < position_; ++t) {
        for (std::size_t k = first; k < first + size; ++k) {
          y[k] += shares[t] / sum * values[t * width + k];
        }
      }
    }
    return y;
  }

  const Model& model_;
  Threads& threads_;
  std::size_t position_ = 0;
  std::vector<std::vector<float>> keys_, values_;  // of all layers, [tokens, width]
  std::vector<float> logits_;
};

int run(int argc, char** argv) {
  if (argc < 5) throw std::invalid_argument("give FOLDER THREADS COUNT TOKEN...");
  const auto number = [&](int place) { return std::strtoull(argv[place], nullptr, 10); };
  Threads threads(number(2));
  const Model model = load(argv[1]);
  const std::size_t prompt = static_cast<std::size_t>(argc) - 4, count = number(3);
  if (prompt + count > model.context) throw std::invalid_argument("too many tokens");
  Engine engine(model, threads);
  std::size_t token = 0;
  const auto next_of = [&](std::size_t given) {
    if (given >= model.vocabulary) throw std::invalid_argument("a token beyond the vocabulary");
    const std::vector<float>& logits = engine.step(given);
    return static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) -
                                    logits.begin());
  };
  for (int place = 4; place < argc; ++place) token = next_of(number(place));
  const auto begin = std::chrono::steady_clock::now();
  std::size_t made = 0;
  for (; made < count && !interrupted; ++made) {
    std::printf("%zu ", token);
    std::fflush(stdout);
    token = next_of(token);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::fprintf(stderr, "\n%.1f tokens per second\n", static_cast<double>(made) / seconds.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGINT, [](int) { interrupted = true; });
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "engine: %s\n", error.what());
    return 1;
  }
}
