#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// A file that appears under its name only when it is whole: the bytes go to a temporary file in
/// the same folder, which `commit()` renames. Until then, and after any failure, a former file of
/// that name stays as it was and no temporary file is left behind. Where the target is a symbolic
/// link, the link is replaced, not the file behind it.
class AtomicFile {
 public:
  /// Opens the temporary file.
  /// @throws Error naming the target if it cannot become a file: the folder is missing or may not
  ///   be written, or the target is a folder, a device or write-protected
  explicit AtomicFile(const std::filesystem::path& target) : target_(target) {
    check_target();
    const std::filesystem::path folder = target_.parent_path();
    const std::string stem = "." + target_.filename().string() + "." + std::to_string(::getpid());
    for (int attempt = 0; file_ < 0; ++attempt) {
      const std::string tail = attempt == 0 ? ".tmp" : "." + std::to_string(attempt) + ".tmp";
      temporary_ = folder / (stem + tail);
      file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      const bool taken = file_ < 0 && errno == EEXIST && attempt < 100;
      if (file_ < 0 && !taken) fail("cannot be created", errno);
    }
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile() { abandon(); }

  const std::filesystem::path& target() const noexcept { return target_; }

  /// Sets `bytes` of disk space aside where the system can, so that a full disk is noticed before
  /// the work and not after it. The file still ends where its last write ended.
  /// @throws Error naming the target if there is no room
  void reserve(std::size_t bytes) {
    check_open();
#if defined(__linux__)
    if (bytes == 0) return;
    if (!std::in_range<off_t>(bytes)) fail("cannot be written", EFBIG);
    int result = 0;
    do {
      result = ::fallocate(file_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes));
    } while (result != 0 && errno == EINTR);
    // Other errors mean that the file system cannot reserve, which is no reason to stop.
    const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    if (result != 0 && full) fail("cannot be written", errno);
#else
    static_cast<void>(bytes);
#endif
  }

  /// Appends `bytes`.
  /// @throws Error naming the target if the system cannot take them; the temporary file is gone
  void write(std::span<const std::byte> bytes) {
    check_open();
    while (!bytes.empty()) {
      // POSIX leaves larger counts than SSIZE_MAX open, Linux takes less than 2 GiB at a time.
      const std::size_t chunk = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
      const ssize_t written = ::write(file_, bytes.data(), chunk);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("cannot be written", errno);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  /// Makes the bytes durable and gives the file its name.
  /// @throws Error naming the target if that fails; the temporary file is gone
  void commit() {
    check_open();
    if (::fsync(file_) != 0) fail("cannot be written", errno);
    if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail("cannot be replaced", errno);
    ::close(std::exchange(file_, -1));
    sync_folder();
  }

  /// Removes the temporary file; without effect after `commit()`.
  void abandon() noexcept {
    if (file_ < 0) return;
    ::unlink(temporary_.c_str());
    ::close(std::exchange(file_, -1));
  }

 private:
  void check_target() const {
    struct stat status {};
    if (!target_.has_filename()) {
      throw Error(shown_target(), "names no file", "give the path of a file");
    }
    if (::stat(target_.c_str(), &status) != 0) return;
    if (S_ISDIR(status.st_mode)) {
      throw Error(shown_target(), "is a folder", "give the path of a file in it");
    }
    // A rename would put a plain file in the place of the device.
    if (!S_ISREG(status.st_mode)) {
      throw Error(shown_target(), "is not a regular file", "give the path of a file");
    }
    if (::access(target_.c_str(), W_OK) != 0) {
      throw Error(shown_target(), "is write-protected", "choose another name");
    }
  }

  void check_open() const {
    if (file_ < 0) throw Error(shown_target(), "is no longer open for writing");
  }

  [[noreturn]] void fail(std::string_view problem, int error) {
    abandon();
    std::string remedy = "check the path";
    if (error == ENOENT || error == ENOTDIR) remedy = "create the folder first";
    if (error == EACCES || error == EPERM || error == EROFS) {
      remedy = "choose a folder that may be written to";
    }
    if (error == ENOSPC || error == EDQUOT) remedy = "free some space or choose another folder";
    if (error == EFBIG) remedy = "raise the limit on the size of files";
    throw Error(shown_target(),
                std::string(problem) + " (" + std::generic_category().message(error) + ")", remedy);
  }

  /// Makes the new name durable. Some file systems refuse this for folders; the file is whole
  /// either way, so a failure here is none of the file's.
  void sync_folder() const noexcept {
    const std::filesystem::path folder = target_.parent_path();
    const int handle =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (handle < 0) return;
    ::fsync(handle);
    ::close(handle);
  }

  std::string shown_target() const {
    return target_.empty() ? "''" : target_.string();
  }

  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int file_ = -1;
};

}  // namespace nash_swarm
