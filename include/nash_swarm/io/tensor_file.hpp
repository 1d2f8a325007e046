#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/mapped_file.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/io/stored_tensor.hpp>

namespace nash_swarm {

/// A file of named tensors, mapped read-only: what all formats have in common, for whoever reads
/// tensors and need not know which one they come from.
class TensorFile {
 public:
  virtual ~TensorFile() = default;

  /// All tensors, in the order of their bytes.
  const std::vector<StoredTensor>& tensors() const noexcept { return tensors_; }

  /// The tensor of that name, or nullptr.
  const StoredTensor* find(std::string_view name) const noexcept {
    const auto found = std::lower_bound(
        by_name_.begin(), by_name_.end(), name,
        [this](std::size_t index, std::string_view key) { return tensors_[index].name < key; });
    if (found == by_name_.end() || tensors_[*found].name != name) return nullptr;
    return &tensors_[*found];
  }

  /// The tensor of that name.
  /// @throws Error naming file and tensor if there is none
  const StoredTensor& at(std::string_view name) const {
    const StoredTensor* const tensor = find(name);
    if (tensor == nullptr) {
      throw Error(path_.string(), "tensor " + printable(name) + " is missing",
                  "check that the file belongs to this kind of model");
    }
    return *tensor;
  }

  const std::filesystem::path& path() const noexcept { return path_; }

  /// Size of the file in bytes.
  std::size_t file_bytes() const noexcept { return mapping_->bytes().size(); }

  /// Gives the memory pages of a tensor of this file back; they come again when they are touched.
  void release(const StoredTensor& tensor) const noexcept { mapping_->release(tensor.bytes); }

  /// Keeps the bytes of the tensors alive, also after this object.
  std::shared_ptr<const MappedFile> mapping() const noexcept { return mapping_; }

 protected:
  /// @throws Error naming the file if it cannot be mapped
  explicit TensorFile(const std::filesystem::path& path)
      : path_(path), mapping_(std::make_shared<const MappedFile>(path)) {}
  TensorFile(const TensorFile&) = default;
  TensorFile(TensorFile&&) = default;
  TensorFile& operator=(const TensorFile&) = default;
  TensorFile& operator=(TensorFile&&) = default;

  /// @param tensors in the order of their bytes
  /// @throws Error naming the file and a name that occurs twice
  void set_tensors(std::vector<StoredTensor> tensors) {
    tensors_ = std::move(tensors);
    by_name_.resize(tensors_.size());
    std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
    std::sort(by_name_.begin(), by_name_.end(),
              [this](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
    for (std::size_t i = 1; i < by_name_.size(); ++i) {
      const std::string& name = tensors_[by_name_[i]].name;
      if (name == tensors_[by_name_[i - 1]].name) fail(name, "the name occurs twice");
    }
  }

  [[noreturn]] void fail(const std::string& tensor, const std::string& problem) const {
    throw Error(path_.string(), "tensor " + printable(tensor) + ": " + problem,
                "copy or export the file again");
  }

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::vector<StoredTensor> tensors_;
  std::vector<std::size_t> by_name_;  // places in tensors_, by ascending name
};

}  // namespace nash_swarm
