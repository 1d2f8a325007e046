#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <nash_swarm/game/game.hpp>
#include <random>
#include <vector>

/// Games to measure on; they own their memory and are the same on every run.
namespace game_bench {

struct Instance {
  std::vector<std::size_t> first{0};
  std::vector<std::uint64_t> bytes;
  std::vector<double> loss;
  std::size_t dimension = 0;
  std::vector<double> directions;  // [players, dimension]
  std::vector<double> magnitudes;  // [strategies]
  std::uint64_t budget = 0;

  nash_swarm::Game game() const {
    return {nash_swarm::Players{first, bytes, loss}, {dimension, directions, magnitudes}};
  }
  std::size_t table_bytes() const {
    return first.size() * sizeof(std::size_t) + bytes.size() * sizeof(std::uint64_t) +
           (loss.size() + directions.size() + magnitudes.size()) * sizeof(double);
  }
};

using Random = std::mt19937_64;

/// Uniform in [0, 1), the same with every standard library.
inline double uniform(Random& random) {
  return static_cast<double>(random() >> 11) * 0x1p-53;
}

/// Normal with variance 1 (Box and Muller 1958).
inline double normal(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - uniform(random)));
  return radius * std::cos(6.283185307179586 * uniform(random));
}

inline std::vector<double> unit_vector(Random& random, std::size_t dimension) {
  std::vector<double> vector(dimension);
  double square = 0;
  for (double& x : vector) {
    x = normal(random);
    square += x * x;
  }
  for (double& x : vector) x /= std::sqrt(square);
  return vector;
}

/// Cells of 16 × 64 weights in formats of 0 to 16 bits: losses s · 4^−bits · U(0.9, 1.1) with s
/// log-uniform over six decades, and 3 bits per weight for all.
inline Instance separable(std::size_t players) {
  constexpr std::uint64_t format_bits[] = {0, 2, 3, 4, 5, 6, 8, 16};
  constexpr std::uint64_t bytes_per_bit = 16 * 64 / 8;
  Random random(players);
  Instance instance;
  instance.first.reserve(players + 1);
  instance.bytes.reserve(players * std::size(format_bits));
  instance.loss.reserve(players * std::size(format_bits));
  for (std::size_t player = 0; player < players; ++player) {
    const double scale = std::pow(10.0, 6 * uniform(random));
    for (const std::uint64_t bits : format_bits) {
      instance.bytes.push_back(bits * bytes_per_bit);
      const double noise = 0.9 + 0.2 * uniform(random);
      instance.loss.push_back(scale * std::ldexp(noise, -2 * static_cast<int>(bits)));
    }
    instance.first.push_back(instance.bytes.size());
  }
  instance.budget = players * 3 * bytes_per_bit;
  return instance;
}

/// Matrices of 2^16 to 2^22 weights with 32 points on their hulls, from 1.5 to 6 bits per weight:
/// loss L · 4^−bits with L log-uniform over three decades, half of it coherent along
/// √c · h_0 + √(1 − c) · (random unit vector), and 3 bits per weight for all.
inline Instance coupled(std::size_t players, double cosine) {
  constexpr std::size_t points = 32;
  Random random(players);
  Instance instance;
  instance.dimension = 64;
  const std::vector<double> common = unit_vector(random, instance.dimension);
  for (std::size_t player = 0; player < players; ++player) {
    const double weights = std::round(std::exp2(16 + 6 * uniform(random)));
    const double scale = std::pow(10.0, 3 * uniform(random));
    for (std::size_t point = 0; point < points; ++point) {
      const double bits = 1.5 + 4.5 * static_cast<double>(point) / (points - 1);
      const double loss = scale * std::pow(4.0, -bits);
      instance.bytes.push_back(static_cast<std::uint64_t>(weights * bits / 8));
      instance.loss.push_back(loss / 2);
      instance.magnitudes.push_back(std::sqrt(2 * (loss / 2)));
    }
    instance.first.push_back(instance.bytes.size());
    instance.budget += static_cast<std::uint64_t>(weights * 3 / 8);
    const std::vector<double> own = unit_vector(random, instance.dimension);
    for (std::size_t k = 0; k < instance.dimension; ++k) {
      instance.directions.push_back(std::sqrt(cosine) * common[k] + std::sqrt(1 - cosine) * own[k]);
    }
  }
  return instance;
}

}  // namespace game_bench
