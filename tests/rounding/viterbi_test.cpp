#include <nash_swarm/rounding/viterbi.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "support/instruction_sets.hpp"
#include "support/lcg.hpp"

namespace ns = nash_swarm;
using ns::detail::TileSearch;
using ns::detail::TileTargets;
using ns::detail::WindowTable;
using Windows = std::array<std::uint16_t, ns::tile_weights>;

namespace {

TileTargets gaussian_tile(std::mt19937_64& engine) {
  std::normal_distribution<float> normal;
  TileTargets tile;
  for (float& target : tile.target) target = normal(engine);
  tile.weight.fill(1.0f);
  return tile;
}

/// Σ weight · (target − value)²
double cost(const WindowTable& table, const TileTargets& tile, const Windows& windows) {
  double sum = 0.0;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const double value = static_cast<double>(table.step) * table.values[windows[i]];
    const double error = static_cast<double>(tile.target[i]) - value;
    sum += static_cast<double>(tile.weight[i % ns::tile_channels]) * error * error;
  }
  return sum;
}

/// A small code of 4-bit windows whose values are drawn at random.
WindowTable small_code(unsigned twice_bits) {
  std::vector<std::int8_t> values(16);
  support::Lcg random(twice_bits);
  for (std::int8_t& value : values) {
    value = static_cast<std::int8_t>(static_cast<int>(random.below(161)) - 80);
  }
  const double noise = std::max(0.1, std::exp2(-static_cast<double>(twice_bits)));
  return ns::detail::make_window_table(4, twice_bits, values, 1.0 / 32, noise);
}

/// The cheapest ring of windows, by trying every window to begin with.
double cheapest(const WindowTable& table, const TileTargets& tile) {
  const unsigned count = 1u << table.window_bits;
  double best = 1e300;
  for (unsigned first = 0; first < count; ++first) {
    std::vector<double> costs(count, 1e300);
    costs[first] = 0.0;
    for (std::size_t i = 0; i < ns::tile_weights; ++i) {
      std::vector<double> next(count, 1e300);
      const unsigned bits = ns::stream_bits(table.twice_bits, i);
      for (unsigned before = 0; before < count; ++before) {
        for (unsigned code = 0; code < (1u << bits); ++code) {
          const unsigned window = ((before << bits) | code) % count;
          const double error = static_cast<double>(tile.target[i]) -
                               static_cast<double>(table.step) * table.values[window];
          next[window] = std::min(next[window], costs[before] + error * error);
        }
      }
      costs = next;
    }
    best = std::min(best, costs[first]);
  }
  return best;
}

/// Of the cheapest codes of streams of 256 Gaussian weights that may begin with any window.
double free_stream_decibels(const WindowTable& table, int streams) {
  constexpr std::size_t length = 256;
  const unsigned bits = table.twice_bits / 2;
  const std::size_t groups = std::size_t{1} << (table.window_bits - bits);
  std::mt19937_64 engine(11);
  std::normal_distribution<double> normal;
  std::vector<std::vector<float>> costs(length + 1, std::vector<float>(groups));
  std::vector<double> targets(length);
  double energy = 0.0;
  double noise = 0.0;
  for (int stream = 0; stream < streams; ++stream) {
    const auto error = [&](std::size_t i, std::size_t window) {
      return targets[i] - static_cast<double>(table.step) * table.values[window];
    };
    const auto cost = [&](std::size_t i, std::size_t window) {
      return costs[i][window >> bits] + static_cast<float>(error(i, window) * error(i, window));
    };
    for (std::size_t i = 0; i < length; ++i) {
      targets[i] = normal(engine);
      energy += targets[i] * targets[i];
      for (std::size_t g = 0; g < groups; ++g) {
        float least = cost(i, g);
        for (std::size_t w = g + groups; w < groups << bits; w += groups) {
          least = std::min(least, cost(i, w));
        }
        costs[i + 1][g] = least;
      }
    }
    const auto& last = costs[length];
    auto group =
        static_cast<std::size_t>(std::min_element(last.begin(), last.end()) - last.begin());
    for (std::size_t i = length; i-- > 0;) {
      std::size_t best = group;
      for (std::size_t w = group; w < groups << bits; w += groups) {
        if (cost(i, w) < cost(i, best)) best = w;
      }
      noise += error(i, best) * error(i, best);
      group = best >> bits;
    }
  }
  return 10.0 * std::log10(energy / noise);
}

}  // namespace

TEST_CASE("viterbi: the windows of a tile form a ring") {
  std::mt19937_64 engine(1);
  for (std::size_t f = 0; f < ns::format_count; ++f) {
    if (ns::format_table[f].family == ns::WindowFamily::none) continue;
    if (ns::format_table[f].twice_bits % 2 == 0) continue;  // half-bit rates are the harder ones
    CAPTURE(ns::format_table[f].name);
    const WindowTable& table = ns::detail::window_table(f);
    Windows windows;
    TileSearch(ns::default_instruction_set()).run(table, gaussian_tile(engine), windows.data());
    int broken = 0;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      const unsigned before = windows[(i + windows.size() - 1) % windows.size()];
      const unsigned bits = ns::stream_bits(table.twice_bits, i);
      const unsigned mask = (1u << table.window_bits) - 1u;
      broken += (unsigned{windows[i]} >> bits) == (before & (mask >> bits)) ? 0 : 1;
    }
    CHECK(broken == 0);
  }
}

TEST_CASE("viterbi: hardly dearer than the cheapest ring there is") {
  for (const unsigned twice_bits : {2u, 3u, 4u, 6u}) {
    CAPTURE(twice_bits);
    const WindowTable table = small_code(twice_bits);
    std::mt19937_64 engine(twice_bits);
    TileSearch search(ns::default_instruction_set());
    for (int i = 0; i < 20; ++i) {
      const TileTargets tile = gaussian_tile(engine);
      Windows windows;
      search.run(table, tile, windows.data());
      const double best = cheapest(table, tile);
      CHECK(cost(table, tile, windows) >= best * (1.0 - 1e-9));
      // Costs have 8 bits.
      CHECK(cost(table, tile, windows) < 1.02 * best);
    }
  }
}

TEST_CASE("viterbi: the same windows with every instruction set") {
  for (const ns::InstructionSet set : support::supported_instruction_sets()) {
    CAPTURE(static_cast<int>(set));
    for (const char* name : {"b1_hash32", "b2_hash16", "b2.5_hash32", "b3_hash16", "b3.5_hash32",
                             "b4_hash32", "b2_l8", "b4_l8", "b3_l12"}) {
      CAPTURE(name);
      const WindowTable& table = ns::detail::window_table(ns::format_index(name));
      std::mt19937_64 engine(7);
      TileTargets tile = gaussian_tile(engine);
      for (std::size_t k = 0; k < tile.weight.size(); ++k) {
        tile.weight[k] = 1.0f / static_cast<float>(k + 1);
      }
      tile.target[5] = 40.0f;  // far out of reach
      Windows expected;
      Windows found;
      TileSearch(ns::InstructionSet::portable).run(table, tile, expected.data());
      TileSearch(set).run(table, tile, found.data());
      CHECK(found == expected);
    }
  }
}

TEST_CASE("viterbi: targets wider than a code reaches are met as far as it does") {
  for (std::size_t f = 0; f < ns::format_count; ++f) {
    if (ns::format_table[f].family == ns::WindowFamily::none) continue;
    CAPTURE(ns::format_table[f].name);
    const WindowTable& table = ns::detail::window_table(f);
    TileSearch search(ns::default_instruction_set());
    std::mt19937_64 engine(5);
    for (const float width : {1.5f, 2.0f, 3.0f, 8.0f}) {
      CAPTURE(width);
      double found = 0.0;
      double shrunken = 0.0;  // by the windows of the same targets within reach
      for (int i = 0; i < 4; ++i) {
        const TileTargets narrow = gaussian_tile(engine);
        TileTargets wide = narrow;
        for (float& target : wide.target) target *= width;
        Windows windows;
        search.run(table, wide, windows.data());
        found += cost(table, wide, windows);
        search.run(table, narrow, windows.data());
        shrunken += cost(table, wide, windows);
      }
      CHECK(found < 1.05 * shrunken);
    }
  }
}

TEST_CASE("viterbi: channels that cost more get less of the error") {
  const WindowTable& table = ns::detail::window_table(ns::format_index("b2_hash32"));
  std::mt19937_64 engine(3);
  TileSearch search(ns::default_instruction_set());
  double dear = 0.0;
  double cheap = 0.0;
  for (int i = 0; i < 8; ++i) {
    TileTargets tile = gaussian_tile(engine);
    for (std::size_t k = 0; k < tile.weight.size(); ++k) tile.weight[k] = k < 4 ? 1.0f : 0.1f;
    Windows windows;
    search.run(table, tile, windows.data());
    TileTargets only = tile;
    only.weight = {1, 1, 1, 1, 0, 0, 0, 0};
    dear += cost(table, only, windows);
    only.weight = {0, 0, 0, 0, 1, 1, 1, 1};
    cheap += cost(table, only, windows);
  }
  CHECK(dear < 0.7 * cheap);
}

TEST_CASE("viterbi: the noise of every window code on Gaussian weights") {
  for (std::size_t f = 0; f < ns::format_count; ++f) {
    const ns::Format& format = ns::format_table[f];
    if (format.family == ns::WindowFamily::none) continue;
    CAPTURE(format.name);
    std::mt19937_64 engine(static_cast<unsigned>(format.id));
    TileSearch search(ns::default_instruction_set());
    const WindowTable& table = ns::detail::window_table(f);
    constexpr int tiles = 48;
    double noise = 0.0;
    double energy = 0.0;
    for (int i = 0; i < tiles; ++i) {
      const TileTargets tile = gaussian_tile(engine);
      for (const float target : tile.target) energy += static_cast<double>(target * target);
      Windows windows;
      search.run(table, tile, windows.data());
      noise += cost(table, tile, windows);
    }
    const double decibels = 10.0 * std::log10(noise / energy / format.gaussian_noise);
    CHECK(std::fabs(decibels) < 0.3);  // 6,144 samples
  }
}

TEST_CASE("viterbi: tiles of zeros and channels that cost nothing") {
  const WindowTable& table = ns::detail::window_table(ns::format_index("b2_hash32"));
  TileTargets tile{};
  Windows windows;
  TileSearch search(ns::default_instruction_set());
  search.run(table, tile, windows.data());
  tile.weight.fill(1.0f);
  search.run(table, tile, windows.data());
  CHECK(cost(table, tile, windows) < 0.1 * ns::tile_weights);
}

TEST_CASE(
    "viterbi: codes on long streams with a free start are as good as codes of their kind are") {
  // Signal-to-noise ratios of L-bit windows in dB, on streams of 256 whose start is not counted.
  const struct {
    const char* name;
    double decibels;
  } expected[] = {{"b1_hash16", 5.8},  {"b1_hash32", 5.7},  {"b1_l4", 5.2},      {"b1_l6", 5.4},
                  {"b1_l8", 5.6},      {"b2_l4", 10.32},    {"b2_l6", 10.80},    {"b2_l8", 10.99},
                  {"b2_hash16", 11.6}, {"b2_hash32", 11.7}, {"b3_l4", 15.63},    {"b3_l6", 16.27},
                  {"b3_l8", 16.67},    {"b3_hash16", 17.3}, {"b3_hash32", 17.7}, {"b4_l6", 21.56},
                  {"b4_l8", 22.09},    {"b4_hash16", 21.7}, {"b4_hash32", 23.4}};
  for (const auto& code : expected) {
    CAPTURE(code.name);
    const WindowTable& table = ns::detail::window_table(ns::format_index(code.name));
    const int streams = table.window_bits > 8 ? 16 : 64;
    CHECK(free_stream_decibels(table, streams) > code.decibels - 0.15);
  }
}
