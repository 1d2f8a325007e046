// Products with packed weights beside float32 products and a streaming read, one after the other in
// the same run; see README.md of this folder.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/matmul.hpp>

#include "kernel/float_copies.hpp"
#include "kernel/interleaved.hpp"
#include "kernel/memory.hpp"
#include "kernel/packed_copies.hpp"
#include "kernel/rivals.hpp"

namespace {

namespace ns = nash_swarm;
using bench::Shape;
using Floats = ns::TensorView<float, 2>;
using ConstFloats = ns::TensorView<const float, 2>;

constexpr Shape shapes[] = {{4096, 4096}, {768, 768},   {3072, 768},
                            {768, 3072},  {50257, 768}, {1600, 6400}};
constexpr std::size_t token_counts[] = {1, 2, 4, 8, 64, 256, 512};
constexpr std::size_t thread_counts[] = {1, 2};

/// What one streaming read reads.
constexpr std::size_t slice_bytes = std::size_t{16} << 20;

bench::Pages pages = bench::Pages::huge;

struct Work {
  std::string format;
  ns::InstructionSet set;
  Shape shape;
  std::size_t tokens;
  std::size_t threads;
};

/// The copies of the last shape: making them takes longer than most measurements.
template <class Copies, class... Arguments>
Copies& last_made(const std::string& key, const Arguments&... arguments) {
  static std::string last_key;
  static std::unique_ptr<Copies> last;
  if (key != last_key) {
    last.reset();  // first, since two of them may not fit into memory
    last = std::make_unique<Copies>(arguments...);
    last_key = key;
  }
  return *last;
}

std::string name_of(const Shape& shape) {
  return std::to_string(shape.out) + "x" + std::to_string(shape.in);
}

std::vector<float> random_inputs(std::size_t count) {
  std::mt19937_64 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

/// A float product on several threads: each has a band of rows.
void multiply(const bench::FloatProduct& product, const float* w, const Work& work, const float* x,
              float* y, ns::ThreadPool& pool) {
  const std::size_t rows = work.shape.out;
  pool.run(work.threads, [&](std::size_t i) {
    const std::size_t begin = rows * i / work.threads;
    const std::size_t end = rows * (i + 1) / work.threads;
    product.multiply(w + begin * work.shape.in, end - begin, work.shape.in, x, work.tokens,
                     y + begin, rows);
  });
}

/// A part of the memory on each thread.
void read_through(std::span<const std::byte> memory, ns::ThreadPool& pool) {
  const std::size_t part = memory.size() / pool.threads();
  pool.run(pool.threads(), [&](std::size_t i) {
    benchmark::DoNotOptimize(bench::read_through(memory.subspan(i * part, part)));
  });
}

void matmul(benchmark::State& state, const Work& work) {
  bench::FloatCopies& floats =
      last_made<bench::FloatCopies>(name_of(work.shape), work.shape, pages);
  bench::PackedCopies& packed = last_made<bench::PackedCopies>(
      work.format + name_of(work.shape), work.format, work.shape, pages);
  const std::vector<float> x = random_inputs(work.tokens * work.shape.in);
  std::vector<float> y(work.tokens * work.shape.out);
  const ConstFloats inputs(x.data(), {work.tokens, work.shape.in});
  const Floats outputs(y.data(), {work.tokens, work.shape.out});
  ns::ThreadPool pool(work.threads);

  const auto own = [&] {
    const ns::PackedMatrix& matrix = packed.next();
    const ns::Activations activations =
        ns::quantize_activations(matrix.basis(), inputs, pool, ns::ActivationBits::eight, work.set);
    ns::matmul(matrix, activations, outputs, pool, work.set);
    benchmark::ClobberMemory();
  };
  const auto rival = [&](const bench::FloatProduct& product) {
    multiply(product, floats.next(), work, x.data(), y.data(), pool);
    benchmark::ClobberMemory();
  };
  const auto products = bench::float_products();
  const std::size_t own_repeats = bench::repeats_of(own);
  const std::size_t repeats = bench::repeats_of([&] { rival(products[0]); });
  std::size_t slice_turn = 0;

  bench::Times own_times;
  bench::Times read_times;
  std::vector<bench::Times> rival_times(products.size());
  for (auto _ : state) {
    state.SetIterationTime(own_times.add(own_repeats, own));
    for (std::size_t i = 0; i < products.size(); ++i) {
      rival_times[i].add(repeats, [&] { rival(products[i]); });
    }
    const std::size_t slices = floats.bytes().size() / slice_bytes;
    read_times.add(1, [&] {
      read_through(floats.bytes().subspan(slice_turn++ % slices * slice_bytes, slice_bytes), pool);
    });
  }

  std::size_t best = 0;
  for (std::size_t i = 1; i < products.size(); ++i) {
    if (rival_times[i].median() < rival_times[best].median()) best = i;
  }
  const double seconds = own_times.median();
  const auto bytes = static_cast<double>(packed.matrix_bytes());
  state.counters["weights_per_second"] =
      static_cast<double>(work.shape.out * work.shape.in * work.tokens) / seconds;
  state.counters["bytes_per_second"] = bytes / seconds;
  state.counters["ratio_float32"] = rival_times[best].median() / seconds;
  state.counters["bandwidth_share"] =
      bytes / seconds * read_times.median() / static_cast<double>(slice_bytes);
  state.counters["copies"] = static_cast<double>(packed.count());
  state.counters["float32_copies"] = static_cast<double>(floats.count());
  state.SetLabel(std::string(products[best].name));
}

/// What is done for an input whatever matrices it is multiplied by.
enum class Overhead { rotation, activation_quantization, dispatch };

void overhead(benchmark::State& state, Overhead what, std::size_t in, std::size_t tokens) {
  const Shape shape{4096, in};
  bench::PackedCopies& packed =
      last_made<bench::PackedCopies>("b3_l4" + name_of(shape), "b3_l4", shape, pages);
  const ns::InputBasis& basis = packed.next().basis();
  const std::vector<float> x = random_inputs(tokens * in);
  const ConstFloats inputs(x.data(), {tokens, in});
  std::vector<float> y(tokens * shape.out);
  ns::SerialExecutor executor;
  const ns::Activations activations = ns::quantize_activations(basis, inputs, executor);
  ns::AlignedBuffer<float> rotated(basis.padded_features());

  const Shape one_panel{ns::panel_rows, in};
  bench::PackedCopies empty("pruned", one_panel, pages);
  const auto call = [&] {
    if (what == Overhead::rotation) {
      for (std::size_t t = 0; t < tokens; ++t) {
        ns::to_basis_unscaled(basis, x.data() + t * in, 1, rotated.data());
      }
    } else if (what == Overhead::activation_quantization) {
      benchmark::DoNotOptimize(ns::quantize_activations(basis, inputs, executor));
    } else {
      ns::matmul(empty.next(), activations, Floats(y.data(), {tokens, one_panel.out}), executor);
    }
    benchmark::ClobberMemory();
  };
  const auto product = [&] {
    ns::matmul(packed.next(), activations, Floats(y.data(), {tokens, shape.out}), executor);
    benchmark::ClobberMemory();
  };
  const std::size_t repeats = bench::repeats_of(call);
  const std::size_t product_repeats = bench::repeats_of(product);
  bench::Times times;
  bench::Times product_times;
  for (auto _ : state) {
    state.SetIterationTime(times.add(repeats, call));
    product_times.add(product_repeats, product);
  }
  state.counters["nanoseconds_per_token"] = 1e9 * times.median() / static_cast<double>(tokens);
  state.counters["share_of_product"] = times.median() / product_times.median();
}

void register_matmul(const Shape& shape, const std::string& format) {
  for (const auto& [set, set_name] : ns::instruction_sets) {
    if (!ns::is_supported(set)) continue;
    for (const std::size_t tokens : token_counts) {
      for (const std::size_t threads : thread_counts) {
        const std::string name = "matmul/" + format + "/" + std::string(set_name) + "/" +
                                 name_of(shape) + "/n:" + std::to_string(tokens) +
                                 "/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark(name.c_str(), &matmul,
                                     Work{format, set, shape, tokens, threads})
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

void register_overhead() {
  constexpr std::pair<Overhead, std::string_view> kinds[] = {
      {Overhead::rotation, "rotation"},
      {Overhead::activation_quantization, "activation_quantization"},
      {Overhead::dispatch, "dispatch"}};
  for (const auto& [kind, title] : kinds) {
    for (const std::size_t in : {768u, 3072u, 4096u, 6400u}) {
      for (const std::size_t tokens : token_counts) {
        const std::string name = "overhead/" + std::string(title) + "/" + std::to_string(in) +
                                 "/n:" + std::to_string(tokens);
        benchmark::RegisterBenchmark(name.c_str(), &overhead, kind, in, tokens)
            ->UseManualTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

void add_context() {
  const auto add = [](const char* key, const std::string& value) {
    benchmark::AddCustomContext(key, value);
  };
  add("last_level_cache_bytes", std::to_string(bench::last_level_cache_bytes()));
  add("working_set_bytes", std::to_string(bench::working_set_bytes()));
  add("pages", pages == bench::Pages::huge ? "2 MB where the system gives them" : "4 KB");
  std::string sets;
  for (const auto& [set, name] : ns::instruction_sets) {
    if (ns::is_supported(set)) sets += (sets.empty() ? "" : ", ") + std::string(name);
  }
  add("instruction_sets", sets);
  add("rivals", bench::openblas_description() + "; " + bench::eigen_description());
}

/// The bytes of so many MB, if the read of a slice fits into them.
std::optional<std::size_t> megabytes(std::string_view text) {
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (count < slice_bytes >> 20 || count >> 32 != 0) return std::nullopt;
  return count << 20;
}

/// Understands an option of this program's own.
bool take_option(std::string_view argument) {
  constexpr std::string_view working_set = "--working_set=";
  if (argument == "--pages=huge" || argument == "--pages=small") {
    pages = argument == "--pages=huge" ? bench::Pages::huge : bench::Pages::small;
    return true;
  }
  if (!argument.starts_with(working_set)) return false;
  const std::optional<std::size_t> bytes = megabytes(argument.substr(working_set.size()));
  if (bytes) bench::set_working_set_bytes(*bytes);
  return bytes.has_value();
}

}  // namespace

int main(int argc, char** argv) {
  bench::use_widest_openblas_kernels(argv);
  argc = static_cast<int>(std::remove_if(argv + 1, argv + argc, &take_option) - argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const Shape& shape : shapes) {
    for (const ns::Format& format : ns::format_table) {
      if (format.block_bytes > 0) register_matmul(shape, std::string(format.name));
    }
    register_matmul(shape, "mixed");
  }
  register_overhead();
  add_context();
  benchmark::RunSpecifiedBenchmarks();
}
