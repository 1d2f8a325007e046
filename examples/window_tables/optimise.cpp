#include "window_tables/optimise.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <numbers>
#include <random>
#include <utility>

#include <nash_swarm/rounding/viterbi.hpp>

namespace window_tables {
namespace {

using nash_swarm::tile_weights;
using nash_swarm::detail::TileSearch;
using nash_swarm::detail::TileTargets;
using nash_swarm::detail::WindowTable;

constexpr int rounds = 200;
constexpr int quiet_rounds = 60;
constexpr double largest = 63.0;

/// Gaussian samples by the method of Box and Muller (1958); the distributions of the standard
/// library differ between its implementations.
class GaussianSource {
 public:
  explicit GaussianSource(std::uint64_t seed) : engine_(seed) {}
  double draw() {
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

 private:
  double uniform() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  std::mt19937_64 engine_;
};

std::vector<TileTargets> gaussian_tiles(std::size_t count, std::uint64_t seed) {
  GaussianSource source(seed);
  std::vector<TileTargets> samples(count);
  for (TileTargets& tile : samples) {
    for (float& target : tile.target) target = static_cast<float>(source.draw());
    tile.weight.fill(1.0f);
  }
  return samples;
}

/// The values in steps of which the largest has 63.
Table rounded(const std::vector<double>& values) {
  double most = 0.0;
  for (const double value : values) most = std::max(most, std::fabs(value));
  Table table{{}, most / largest, 0.0};
  for (const double value : values) {
    table.values.push_back(static_cast<int>(std::lround(value / table.unit)));
  }
  return table;
}

WindowTable search_table(const Shape& shape, const Table& table) {
  std::vector<std::int8_t> values;
  for (const int value : table.values) values.push_back(static_cast<std::int8_t>(value));
  return nash_swarm::detail::make_window_table(shape.window_bits, 2 * shape.bits, values, table.unit,
                                               1.5 * std::exp2(-2.0 * shape.bits));
}

/// Sums of the samples that chose each window.
struct Choices {
  std::vector<double> sums;
  std::vector<double> counts;
  double noise = 0.0;
};

Choices choose(const Shape& shape, const Table& table, const std::vector<TileTargets>& samples) {
  const WindowTable searched = search_table(shape, table);
  TileSearch search(nash_swarm::default_instruction_set());
  Choices choices{std::vector<double>(table.values.size()),
                  std::vector<double>(table.values.size())};
  std::array<std::uint16_t, tile_weights> windows;
  for (const TileTargets& tile : samples) {
    search.run(searched, tile, windows.data());
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const double target = static_cast<double>(tile.target[i]);
      const double error = target - table.unit * table.values[windows[i]];
      choices.sums[windows[i]] += target;
      choices.counts[windows[i]] += 1.0;
      choices.noise += error * error;
    }
  }
  choices.noise /= static_cast<double>(samples.size() * tile_weights);
  return choices;
}

/// Gaussian levels for the windows. In every other start the children of a window get evenly spread
/// ones (set partitioning, Ungerboeck 1982), from a place that is drawn for each; in the others they
/// fall as they are drawn.
std::vector<double> start(const Shape& shape, bool spread, std::uint64_t seed) {
  const std::size_t count = std::size_t{1} << shape.window_bits;
  const std::size_t children = std::size_t{1} << shape.bits;
  const std::size_t parents = count / children;
  GaussianSource source(seed);
  std::vector<double> levels(count);
  for (double& level : levels) level = source.draw();
  if (!spread) return levels;
  std::sort(levels.begin(), levels.end());
  std::vector<std::pair<double, std::size_t>> places(parents);
  for (std::size_t i = 0; i < parents; ++i) places[i] = {source.draw(), i};
  std::sort(places.begin(), places.end());
  std::vector<double> values(count);
  for (std::size_t w = 0; w < count; ++w) {
    values[w] = levels[w % children * parents + places[w / children].second];
  }
  return values;
}

/// Moves every value to the mean of the samples that chose it (Lloyd 1982), and at first somewhat
/// beside it, so that the search does not end in the nearest of many local minima.
void improve(const Shape& shape, const std::vector<TileTargets>& samples, int count,
             double unrest, std::vector<double>& values) {
  GaussianSource source(static_cast<std::uint64_t>(count));
  for (int round = 0; round < count; ++round) {
    const Choices choices = choose(shape, rounded(values), samples);
    const double beside =
        unrest * std::sqrt(choices.noise) * std::max(0.0, 1.0 - 1.25 * round / count);
    for (std::size_t w = 0; w < values.size(); ++w) {
      if (choices.counts[w] > 0.0) values[w] = choices.sums[w] / choices.counts[w];
      values[w] += beside * source.draw();
    }
  }
}

}  // namespace

std::string name_of(const Shape& shape) {
  return "b" + std::to_string(shape.bits) + "_l" + std::to_string(shape.window_bits);
}

Table optimised(const Shape& shape) {
  const std::size_t tiles = std::max<std::size_t>(256, std::size_t{8} << shape.window_bits);
  const std::vector<TileTargets> samples = gaussian_tiles(tiles, 1);
  // Small tables fall back into order from less, and have fewer ways to it.
  const double disorder = shape.window_bits > 4 ? 0.6 : 0.3;
  const int starts = shape.window_bits > 4 ? 4 : 8;
  std::vector<double> best;
  double least = 1.0;
  for (int i = 0; i < starts; ++i) {
    std::vector<double> values = start(shape, i % 2 == 0, static_cast<std::uint64_t>(i + 10));
    improve(shape, samples, rounds, disorder, values);
    const double noise = choose(shape, rounded(values), samples).noise;
    if (noise < least) {
      least = noise;
      best = std::move(values);
    }
  }
  improve(shape, samples, quiet_rounds, 0.0, best);
  Table table = rounded(best);
  table.noise = choose(shape, table, gaussian_tiles(2048, 2)).noise;
  return table;
}

std::string array_text(const Shape& shape, const Table& table) {
  char figures[80];
  std::snprintf(figures, sizeof figures, "%.5ff, %.3g, {{", table.unit, table.noise);
  std::string text = "inline constexpr WindowValues<" + std::to_string(shape.window_bits) + "> " +
                     name_of(shape) + "{" + figures;
  for (std::size_t w = 0; w < table.values.size(); ++w) {
    text += (w == 0 ? "" : ", ") + std::to_string(table.values[w]);
  }
  return text + "}}};\n";
}

}  // namespace window_tables
