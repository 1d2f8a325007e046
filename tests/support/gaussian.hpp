#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace support {

/// The next `count` samples of the standard normal distribution that an engine gives.
template <class T = float, std::uniform_random_bit_generator Engine>
std::vector<T> gaussian(std::size_t count, Engine& engine) {
  std::normal_distribution<T> normal;
  std::vector<T> samples(count);
  for (T& sample : samples) sample = normal(engine);
  return samples;
}

/// As many from a seed.
template <class T = float>
std::vector<T> gaussian(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  return gaussian<T>(count, engine);
}

}  // namespace support
