// How fast rows are searched for their codes, and with what signal-to-noise ratio:
// encode/<format>/<instruction set>/<channels>, on Gaussian rows, one thread.

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <nash_swarm/rounding/beam_search.hpp>

namespace {

namespace ns = nash_swarm;

std::vector<float> gaussian(std::size_t count) {
  std::mt19937_64 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(engine);
  return values;
}

void encode(benchmark::State& state, const ns::Format& format, ns::InstructionSet set,
            std::size_t channels) {
  constexpr std::size_t rows = 16;
  const std::vector<float> weights = gaussian(rows * channels);
  const std::vector<ns::FormatId> formats(channels / ns::block_channels, format.id);
  std::vector<std::uint16_t> codes(channels);
  std::vector<float> rounded(channels);
  const auto memory = std::make_unique<ns::detail::BeamMemory>();
  double energy = 0.0;
  double noise = 0.0;
  for (auto _ : state) {
    for (std::size_t row = 0; row < rows; ++row) {
      const float* source = weights.data() + row * channels;
      ns::detail::BeamSearch({{source, channels}, formats, nullptr, codes.data(), rounded.data()},
                             *memory, set)
          .run();
      for (std::size_t k = 0; k < channels; ++k) {
        const double weight = static_cast<double>(source[k]);
        const double error = weight - static_cast<double>(rounded[k]);
        energy += weight * weight;
        noise += error * error;
      }
    }
  }
  state.counters["weights_per_second"] = benchmark::Counter(
      static_cast<double>(rows * channels), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["decibels"] = 10.0 * std::log10(energy / noise);
}

}  // namespace

int main(int argc, char** argv) {
  const struct {
    ns::InstructionSet set;
    const char* name;
  } sets[] = {{ns::InstructionSet::portable, "portable"},
              {ns::InstructionSet::avx2, "avx2"},
              {ns::InstructionSet::avx512, "avx512"}};
  for (const ns::Format& format : ns::format_table) {
    if (format.family == ns::StreamFamily::none) continue;
    for (const auto& [set, name] : sets) {
      if (!ns::is_supported(set)) continue;
      for (const std::size_t channels : {64u, 256u, 1024u}) {
        const std::string title =
            "encode/" + std::string(format.name) + "/" + name + "/" + std::to_string(channels);
        benchmark::RegisterBenchmark(title.c_str(), encode, format, set, channels)
            ->Unit(benchmark::kMillisecond);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
