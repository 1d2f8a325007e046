#include "kernel/memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>

namespace bench {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

std::size_t working_set = 0;

}  // namespace

RandomMemory::RandomMemory(std::size_t bytes, Pages pages)
    : size_((bytes + huge_page - 1) / huge_page * huge_page) {
  data_ = static_cast<std::byte*>(::operator new(size_, std::align_val_t{huge_page}));
  ::madvise(data_, size_, pages == Pages::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < size_; i += sizeof state) {  // Marsaglia 2003, xorshift64
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(data_ + i, &state, sizeof state);
  }
}

RandomMemory::~RandomMemory() { ::operator delete(data_, std::align_val_t{huge_page}); }

std::size_t last_level_cache_bytes() {
  for (const int level : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE}) {
    const long bytes = ::sysconf(level);
    if (bytes > 0) return static_cast<std::size_t>(bytes);
  }
  return std::size_t{32} << 20;
}

std::size_t working_set_bytes() {
  return working_set > 0 ? working_set : 8 * last_level_cache_bytes();
}

void set_working_set_bytes(std::size_t bytes) {
  working_set = bytes;
}

}  // namespace bench
