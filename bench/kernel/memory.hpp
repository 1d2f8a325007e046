#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace bench {

enum class Pages { huge, small };

/// Memory of its own pages, filled with random bits, so that no two of them are the same.
class RandomMemory {
 public:
  RandomMemory(std::size_t bytes, Pages pages);
  RandomMemory(const RandomMemory&) = delete;
  RandomMemory& operator=(const RandomMemory&) = delete;
  ~RandomMemory();

  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_;
  std::size_t size_;
};

/// As the system tells it, or 32 MB.
std::size_t last_level_cache_bytes();

/// What has to be read in turn so that hardly anything is still cached: 8 times the last cache, or
/// what it is set to.
std::size_t working_set_bytes();
void set_working_set_bytes(std::size_t bytes);

}  // namespace bench
