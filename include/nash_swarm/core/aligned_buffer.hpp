#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// Owned memory aligned to 64 bytes (one AVX-512 register, one cache line). Blocks of 2 MB
/// or more are aligned to 2 MB and advised to use huge pages, which spares most TLB misses.
/// Move-only; elements are trivially copyable.
template <class T>
class AlignedBuffer {
  static_assert(std::is_trivially_copyable_v<T>, "AlignedBuffer holds plain data");

 public:
  static constexpr std::size_t alignment = 64;
  static constexpr std::size_t huge_page = std::size_t{2} << 20;

  AlignedBuffer() noexcept = default;

  /// Zeroed memory.
  /// @throws Error if the bytes overflow, std::bad_alloc if there is no memory
  NASH_SWARM_KEYED explicit AlignedBuffer(std::size_t size) : AlignedBuffer(for_overwrite(size)) {
    if (size != 0) std::memset(static_cast<void*>(data_), 0, size * sizeof(T));
  }

  /// Memory with nothing in it yet, for what is written whole before it is read.
  /// @throws as the constructor does
  NASH_SWARM_KEYED static AlignedBuffer for_overwrite(std::size_t size) {
    AlignedBuffer buffer;
    if (size != 0) buffer.allocate(size);
    return buffer;
  }

  /// The same; empty if there is no memory.
  NASH_SWARM_KEYED static AlignedBuffer try_for_overwrite(std::size_t size) noexcept {
    AlignedBuffer buffer;
    if (size != 0 && size <= most) {
      const std::size_t bytes = size * sizeof(T);
      buffer.hold(::operator new(bytes, alignment_of(bytes), std::nothrow), size);
    }
    return buffer;
  }

  NASH_SWARM_KEYED AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  NASH_SWARM_KEYED AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  NASH_SWARM_KEYED ~AlignedBuffer() {
    if (data_ != nullptr) ::operator delete(data_, alignment_of(size_ * sizeof(T)));
  }

  T* data() noexcept { return data_; }
  const T* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  T* begin() noexcept { return data_; }
  T* end() noexcept { return data_ + size_; }
  const T* begin() const noexcept { return data_; }
  const T* end() const noexcept { return data_ + size_; }
  T& operator[](std::size_t index) noexcept { return data_[index]; }
  const T& operator[](std::size_t index) const noexcept { return data_[index]; }

 private:
  static constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 2 / sizeof(T);

  NASH_SWARM_KEYED void allocate(std::size_t size) {
    if (size > most) {
      detail::raise(
          Error("AlignedBuffer", "size of " + std::to_string(size) + " elements overflows"));
    }
    const std::size_t bytes = size * sizeof(T);
    hold(::operator new(bytes, alignment_of(bytes)), size);
  }

  NASH_SWARM_KEYED void hold(void* memory, std::size_t size) noexcept {
    if (memory == nullptr) return;
    data_ = static_cast<T*>(memory);
    size_ = size;
#if defined(__linux__)
    const std::size_t bytes = size * sizeof(T);
    if (bytes >= huge_page) ::madvise(memory, bytes / huge_page * huge_page, MADV_HUGEPAGE);
#endif
  }

  static constexpr std::align_val_t alignment_of(std::size_t bytes) noexcept {
    return std::align_val_t{bytes >= huge_page ? huge_page : alignment};
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace nash_swarm
