#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// The bytes of a file, mapped read-only. Pages come in when they are touched. The file must not
/// be made shorter while it is mapped: the system answers a read beyond its end with SIGBUS.
class MappedFile {
 public:
  /// @throws Error naming the file if it is missing, unreadable, empty or not a regular file
  explicit MappedFile(const std::filesystem::path& path) {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) fail(path, "cannot be opened", errno);
    struct stat status {};
    if (::fstat(file, &status) != 0) {
      const int error = errno;
      ::close(file);
      fail(path, "cannot be examined", error);
    }
    if (!S_ISREG(status.st_mode) || status.st_size <= 0 ||
        !std::in_range<std::ptrdiff_t>(status.st_size)) {
      ::close(file);
      refuse(path, status);
    }
    size_ = static_cast<std::size_t>(status.st_size);
    void* const data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    const int error = errno;
    ::close(file);
    if (data == MAP_FAILED) fail(path, "cannot be mapped into memory", error);
    data_ = static_cast<const std::byte*>(data);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

  /// All bytes; valid as long as this object.
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Gives the pages that lie wholly inside `range` back to the system; they are read from the
  /// file again when they are next touched. A range outside the file is ignored.
  void release(std::span<const std::byte> range) const noexcept {
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto whole_begin = reinterpret_cast<std::uintptr_t>(data_);
    const auto begin = reinterpret_cast<std::uintptr_t>(range.data());
    const std::uintptr_t end = begin + range.size();
    if (begin < whole_begin || end < begin || end > whole_begin + size_) return;
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t last = end / page * page;
    if (first >= last) return;
    std::byte* const start = const_cast<std::byte*>(data_) + (first - whole_begin);
    ::madvise(start, last - first, MADV_DONTNEED);
  }

 private:
  [[noreturn]] static void fail(const std::filesystem::path& path, const std::string& problem,
                                int error) {
    std::string remedy = "check the path and the machine's limits";
    if (error == ENOENT || error == ENOTDIR) remedy = "check the path";
    if (error == EACCES || error == EPERM) remedy = "check who may read the file";
    throw Error(path.string(), problem + " (" + std::generic_category().message(error) + ")",
                remedy);
  }

  [[noreturn]] static void refuse(const std::filesystem::path& path, const struct stat& status) {
    if (S_ISDIR(status.st_mode)) {
      throw Error(path.string(), "is a folder", "give the path of a file in it");
    }
    if (!S_ISREG(status.st_mode)) {
      throw Error(path.string(), "is not a regular file", "copy its content to a file first");
    }
    if (status.st_size == 0) {
      throw Error(path.string(), "the file is empty", "copy or download it again");
    }
    throw Error(path.string(), "the file is too large for this machine's addresses");
  }

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace nash_swarm
