#include "window_tables/optimise.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <numbers>
#include <random>
#include <utility>

#include <nash_swarm/format/sum_code.hpp>
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

/// Entries before they are rounded, table after table.
using Entries = std::vector<std::vector<double>>;

std::size_t window_count(const Shape& shape) { return std::size_t{1} << shape.window_bits; }
bool has_sums(const Shape& shape) { return shape.window_bits == 12; }

/// Which entry of a table a window takes.
std::size_t index_of(const Shape& shape, std::size_t table, std::size_t window) {
  if (!has_sums(shape)) return window;
  return nash_swarm::sum_index(shape.bits, table, static_cast<unsigned>(window));
}

template <class T>
T value_of(const Shape& shape, const std::vector<std::vector<T>>& entries, std::size_t window) {
  T sum{};
  for (std::size_t t = 0; t < entries.size(); ++t) sum += entries[t][index_of(shape, t, window)];
  return sum;
}

template <class T>
T largest_value(const Shape& shape, const std::vector<std::vector<T>>& entries) {
  T most{};
  for (std::size_t w = 0; w < window_count(shape); ++w) {
    most = std::max(most, std::abs(value_of(shape, entries, w)));
  }
  return most;
}

/// The entries in steps of which the largest value has 63.
Tables rounded(const Shape& shape, const Entries& entries) {
  Tables tables{{}, largest_value(shape, entries) / largest, 0.0};
  do {
    tables.entries.clear();
    for (const std::vector<double>& table : entries) {
      tables.entries.emplace_back();
      for (const double entry : table) {
        tables.entries.back().push_back(static_cast<int>(std::lround(entry / tables.unit)));
      }
    }
    if (largest_value(shape, tables.entries) <= static_cast<int>(largest)) return tables;
    tables.unit *= 1.001;  // sums of what was rounded may be too large
  } while (true);
}

WindowTable search_table(const Shape& shape, const Tables& tables) {
  std::vector<std::int8_t> values;
  for (std::size_t w = 0; w < window_count(shape); ++w) {
    values.push_back(static_cast<std::int8_t>(value_of(shape, tables.entries, w)));
  }
  return nash_swarm::detail::make_window_table(shape.window_bits, 2 * shape.bits, values,
                                               tables.unit, 1.5 * std::exp2(-2.0 * shape.bits));
}

/// Sums of the samples that chose each window.
struct Choices {
  std::vector<double> sums;
  std::vector<double> counts;
  double noise = 0.0;
};

Choices choose(const Shape& shape, const Tables& tables,
               const std::vector<TileTargets>& samples) {
  const WindowTable searched = search_table(shape, tables);
  TileSearch search(nash_swarm::default_instruction_set());
  Choices choices{std::vector<double>(window_count(shape)),
                  std::vector<double>(window_count(shape))};
  std::array<std::uint16_t, tile_weights> windows;
  for (const TileTargets& tile : samples) {
    search.run(searched, tile, windows.data());
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const double target = static_cast<double>(tile.target[i]);
      const double error = target - tables.unit * searched.values[windows[i]];
      choices.sums[windows[i]] += target;
      choices.counts[windows[i]] += 1.0;
      choices.noise += error * error;
    }
  }
  choices.noise /= static_cast<double>(samples.size() * tile_weights);
  return choices;
}

/// Moves every entry to the mean of what the samples that chose it leave to it, table after table;
/// where several share in a value, several times.
void fit(const Shape& shape, const Choices& choices, Entries& entries) {
  const int sweeps = entries.size() == 1 ? 1 : 8;
  for (int sweep = 0; sweep < sweeps; ++sweep) {
    for (std::size_t t = 0; t < entries.size(); ++t) {
      std::vector<double> sums(entries[t].size());
      std::vector<double> counts(entries[t].size());
      for (std::size_t w = 0; w < window_count(shape); ++w) {
        const std::size_t i = index_of(shape, t, w);
        const double others = value_of(shape, entries, w) - entries[t][i];
        sums[i] += choices.sums[w] - choices.counts[w] * others;
        counts[i] += choices.counts[w];
      }
      for (std::size_t i = 0; i < sums.size(); ++i) {
        if (counts[i] > 0.0) entries[t][i] = sums[i] / counts[i];
      }
    }
  }
}

/// Gaussian levels for the windows. In every other start the children of a window get evenly spread
/// ones (set partitioning, Ungerboeck 1982), from a place that is drawn for each; in the others they
/// fall as they are drawn.
std::vector<double> start_of_table(const Shape& shape, bool spread, std::uint64_t seed) {
  const std::size_t count = window_count(shape);
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

/// Gaussian entries of sums: in every other start the first table has the largest.
Entries start_of_sums(bool first_largest, std::uint64_t seed) {
  GaussianSource source(seed);
  Entries entries(nash_swarm::sum_table_count, std::vector<double>(16));
  for (std::size_t t = 0; t < entries.size(); ++t) {
    const double size = !first_largest ? std::sqrt(1.0 / 3.0) : t == 0 ? 1.0 : 0.3;
    for (double& entry : entries[t]) entry = size * source.draw();
  }
  return entries;
}

/// Lloyd's iteration (1982). At first entries are moved somewhat beside their means, so that the
/// search does not end in the nearest of many local minima.
void improve(const Shape& shape, const std::vector<TileTargets>& samples, int count,
             double unrest, Entries& entries) {
  GaussianSource source(static_cast<std::uint64_t>(count));
  for (int round = 0; round < count; ++round) {
    const Choices choices = choose(shape, rounded(shape, entries), samples);
    const double beside =
        unrest * std::sqrt(choices.noise) * std::max(0.0, 1.0 - 1.25 * round / count);
    fit(shape, choices, entries);
    for (std::vector<double>& table : entries) {
      for (double& entry : table) entry += beside * source.draw();
    }
  }
}

}  // namespace

std::string name_of(const Shape& shape) {
  return "b" + std::to_string(shape.bits) + "_l" + std::to_string(shape.window_bits);
}

Tables optimised(const Shape& shape) {
  const std::size_t tiles =
      has_sums(shape) ? 512 : std::max<std::size_t>(256, std::size_t{8} << shape.window_bits);
  const std::vector<TileTargets> samples = gaussian_tiles(tiles, 1);
  // Small tables fall back into order from less, and have fewer ways to it.
  const double disorder = shape.window_bits > 4 ? 0.6 : 0.3;
  const int starts = shape.window_bits > 4 && !has_sums(shape) ? 4 : 8;
  Entries best;
  double least = 1.0;
  for (int i = 0; i < starts; ++i) {
    const auto seed = static_cast<std::uint64_t>(i + 10);
    Entries entries = has_sums(shape) ? start_of_sums(i % 2 == 0, seed)
                                      : Entries{start_of_table(shape, i % 2 == 0, seed)};
    improve(shape, samples, rounds, disorder, entries);
    const double noise = choose(shape, rounded(shape, entries), samples).noise;
    if (noise < least) {
      least = noise;
      best = std::move(entries);
    }
  }
  improve(shape, samples, quiet_rounds, 0.0, best);
  Tables tables = rounded(shape, best);
  tables.noise = choose(shape, tables, gaussian_tiles(2048, 2)).noise;
  return tables;
}

std::string array_text(const Shape& shape, const Tables& tables) {
  const std::string type =
      has_sums(shape) ? "SumTables" : "WindowValues<" + std::to_string(shape.window_bits) + ">";
  char figures[80];
  std::snprintf(figures, sizeof figures, "%.5ff, %.3g, {{", tables.unit, tables.noise);
  std::string text = "inline constexpr " + type + " " + name_of(shape) + "{" + figures;
  for (std::size_t t = 0; t < tables.entries.size(); ++t) {
    if (has_sums(shape)) text += t == 0 ? "{{" : ", {{";
    for (std::size_t i = 0; i < tables.entries[t].size(); ++i) {
      text += (i == 0 ? "" : ", ") + std::to_string(tables.entries[t][i]);
    }
    if (has_sums(shape)) text += "}}";
  }
  return text + "}}};\n";
}

}  // namespace window_tables
