// How fast tiles are searched for their codes, and with what signal-to-noise ratio:
// encode/<format>/<instruction set>, on Gaussian tiles, one thread.

#include <benchmark/benchmark.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <nash_swarm/rounding/viterbi.hpp>

namespace {

namespace ns = nash_swarm;

std::vector<ns::detail::TileTargets> gaussian_tiles(std::size_t count) {
  std::mt19937_64 engine(1);
  std::normal_distribution<float> normal;
  std::vector<ns::detail::TileTargets> tiles(count);
  for (ns::detail::TileTargets& tile : tiles) {
    for (float& target : tile.target) target = normal(engine);
    tile.weight.fill(1.0f);
  }
  return tiles;
}

void encode(benchmark::State& state, std::size_t format, ns::InstructionSet set) {
  const auto tiles = gaussian_tiles(64);
  const ns::detail::WindowTable& table = ns::detail::window_table(format);
  ns::detail::TileSearch search(set);
  std::array<std::uint16_t, ns::tile_weights> windows;
  double energy = 0.0;
  double noise = 0.0;
  for (auto _ : state) {
    for (const ns::detail::TileTargets& tile : tiles) {
      search.run(table, tile, windows.data());
      for (std::size_t i = 0; i < windows.size(); ++i) {
        const double target = static_cast<double>(tile.target[i]);
        const double error =
            target - static_cast<double>(table.step) * table.values[windows[i]];
        energy += target * target;
        noise += error * error;
      }
    }
  }
  state.counters["weights_per_second"] =
      benchmark::Counter(static_cast<double>(tiles.size() * ns::tile_weights),
                         benchmark::Counter::kIsIterationInvariantRate);
  state.counters["decibels"] = 10.0 * std::log10(energy / noise);
}

}  // namespace

int main(int argc, char** argv) {
  for (std::size_t f = 0; f < ns::format_count; ++f) {
    if (ns::format_table[f].family == ns::WindowFamily::none) continue;
    for (const auto& [set, name] : ns::instruction_sets) {
      if (!ns::is_supported(set) || ns::base_set(set) != set) continue;
      const std::string title = "encode/" + std::string(ns::format_table[f].name) + "/" +
                                std::string(name);
      benchmark::RegisterBenchmark(title.c_str(), encode, f, set)->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
