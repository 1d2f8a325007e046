#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>

namespace support {

inline std::size_t memory_page() noexcept {
  return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

/// A range of addresses behind which there is no memory: touching it ends the program. Parts of it
/// are made memory of zeros.
class ReservedMemory {
 public:
  explicit ReservedMemory(std::size_t bytes)
      : bytes_(bytes),
        start_(
            ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (start_ == MAP_FAILED) throw std::bad_alloc();
  }
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;
  ~ReservedMemory() { ::munmap(start_, bytes_); }

  std::byte* data() const noexcept { return static_cast<std::byte*>(start_); }
  std::size_t size() const noexcept { return bytes_; }

  /// Makes memory of the pages that hold [first, first + count).
  void open(std::size_t first, std::size_t count) {
    if (count == 0) return;
    const std::size_t begin = first / memory_page() * memory_page();
    if (::mprotect(data() + begin, first + count - begin, PROT_READ | PROT_WRITE) != 0) {
      throw std::bad_alloc();
    }
  }

 private:
  std::size_t bytes_;
  void* start_;
};

/// The end of an array that borders on addresses without memory; at the other end there is memory
/// up to the end of a page.
enum class GuardedEnd { front, back };

/// An array of plain data, zeros at first.
template <class T>
class GuardedArray {
 public:
  GuardedArray(std::size_t size, GuardedEnd end) : memory_(pages_for(size) + 2 * memory_page()) {
    const std::size_t front = memory_page();
    const std::size_t back = front + pages_for(size);
    memory_.open(front, back - front);
    std::byte* const first =
        memory_.data() + (end == GuardedEnd::front ? front : back - size * sizeof(T));
    values_ = {reinterpret_cast<T*>(first), size};
  }
  GuardedArray(std::span<const T> values, GuardedEnd end) : GuardedArray(values.size(), end) {
    if (!values.empty()) std::memcpy(values_.data(), values.data(), values.size_bytes());
  }

  std::span<T> values() const noexcept { return values_; }

 private:
  /// Bytes of the pages that hold so many elements.
  static std::size_t pages_for(std::size_t size) noexcept {
    return (size * sizeof(T) + memory_page() - 1) / memory_page() * memory_page();
  }

  ReservedMemory memory_;
  std::span<T> values_;
};

}  // namespace support
