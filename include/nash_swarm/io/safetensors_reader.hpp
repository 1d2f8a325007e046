#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <nash_swarm/io/mapped_file.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/io/safetensors_header.hpp>

namespace nash_swarm {

/// A tensor as it lies in a file: row-major, little-endian, at any alignment.
struct StoredTensor {
  std::string name;
  DataType type;
  std::vector<std::size_t> shape;
  std::span<const std::byte> bytes;  // valid as long as the mapping of the file
  std::string file{};                // for messages
};

/// A safetensors file, mapped read-only. Everything that its header says is checked when it is
/// opened; tensors that share bytes or leave some unused are refused, as the format demands.
class SafetensorsFile {
 public:
  /// @throws Error naming the file, and the tensor where there is one, for a file that cannot be
  ///   read or that does not keep to the format
  explicit SafetensorsFile(const std::filesystem::path& path)
      : path_(path), mapping_(std::make_shared<const MappedFile>(path)) {
    const std::string file = path.string();
    const std::string_view text = safetensors_header_text(mapping_->bytes(), file);
    SafetensorsHeader header = parse_safetensors_header(text, file);
    metadata_ = std::move(header.metadata);
    place_tensors(std::move(header.entries),
                  mapping_->bytes().subspan(safetensors_length_bytes + text.size()));
    index_names();
  }

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

  /// The text entries of the header.
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

  const std::filesystem::path& path() const noexcept { return path_; }

  /// Size of the file in bytes.
  std::size_t file_bytes() const noexcept { return mapping_->bytes().size(); }

  /// Gives the memory pages of a tensor of this file back; they come again when they are touched.
  void release(const StoredTensor& tensor) const noexcept { mapping_->release(tensor.bytes); }

  /// Keeps the bytes of the tensors alive, also after this object.
  std::shared_ptr<const MappedFile> mapping() const noexcept { return mapping_; }

 private:
  void place_tensors(std::vector<SafetensorsHeader::Entry> entries,
                     std::span<const std::byte> data) {
    for (const SafetensorsHeader::Entry& entry : entries) check_range(entry, data.size());
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
    });
    std::size_t position = 0;
    for (SafetensorsHeader::Entry& entry : entries) {
      if (entry.begin < position) {
        fail(entry.name, place(entry) + " overlap " + printable(tensors_.back().name));
      }
      if (entry.begin > position) {
        fail(entry.name, place(entry) + " leave a hole from " + std::to_string(position));
      }
      position = entry.end;
      const std::span<const std::byte> bytes = data.subspan(entry.begin, entry.end - entry.begin);
      tensors_.push_back(
          {std::move(entry.name), entry.type, std::move(entry.shape), bytes, path_.string()});
    }
    if (position != data.size()) {
      throw Error(path_.string(),
                  std::to_string(data.size() - position) + " bytes at the end belong to no tensor",
                  remedy);
    }
  }

  void check_range(const SafetensorsHeader::Entry& entry, std::size_t data_bytes) const {
    if (entry.begin > entry.end) fail(entry.name, place(entry) + " are reversed");
    if (entry.end > data_bytes) {
      fail(entry.name, place(entry) + " reach beyond the file's " + std::to_string(data_bytes) +
                           " bytes of data");
    }
    const std::optional<std::size_t> bytes = byte_count(entry.type, entry.shape);
    if (!bytes) fail(entry.name, "the size of its shape overflows");
    if (*bytes != entry.end - entry.begin) {
      fail(entry.name, place(entry) + " do not fit its shape, which takes " +
                           std::to_string(*bytes) + " bytes of " +
                           std::string(name_of(entry.type)));
    }
  }

  void index_names() {
    by_name_.resize(tensors_.size());
    std::iota(by_name_.begin(), by_name_.end(), std::size_t{0});
    std::sort(by_name_.begin(), by_name_.end(),
              [this](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
    for (std::size_t i = 1; i < by_name_.size(); ++i) {
      const std::string& name = tensors_[by_name_[i]].name;
      if (name == tensors_[by_name_[i - 1]].name) fail(name, "the name occurs twice");
    }
  }

  static std::string place(const SafetensorsHeader::Entry& entry) {
    return "data_offsets [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + ")";
  }

  [[noreturn]] void fail(const std::string& tensor, const std::string& problem) const {
    throw Error(path_.string(), "tensor " + printable(tensor) + ": " + problem, remedy);
  }

  static constexpr const char* remedy = "copy or export the file again";

  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> mapping_;
  std::vector<StoredTensor> tensors_;
  std::vector<std::size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Converts elements of two bytes that lie at any address.
template <class Element>
void convert_to_float(const std::byte* from, std::span<float> out) noexcept {
  static_assert(sizeof(Element) == 2);
  float* const to = out.data();
  const std::size_t count = out.size();
  for (std::size_t i = 0; i < count; ++i) {
    Element element;
    std::memcpy(&element, from + 2 * i, sizeof element);
    to[i] = to_float(element);
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Converts elements [first, first + out.size()) of `tensor`, counted in row-major order, from F32,
/// F16 or BF16 to float; exact.
/// @throws Error naming the tensor for another type, or if the range does not lie within it
inline void read_floats(const StoredTensor& tensor, std::size_t first, std::span<float> out) {
  const std::size_t size = size_of(tensor.type);
  const std::size_t count = tensor.bytes.size() / size;
  const std::string subject = tensor.file.empty() ? tensor.name : tensor.file;
  if (first > count || out.size() > count - first) {
    throw Error(subject, "tensor " + printable(tensor.name) + ": " + std::to_string(out.size()) +
                             " elements from index " + std::to_string(first) +
                             " are more than its " + std::to_string(count));
  }
  const std::byte* const from = tensor.bytes.data() + first * size;
  switch (tensor.type) {
    case DataType::F32:
      if (!out.empty()) std::memcpy(out.data(), from, out.size() * size);
      return;
    case DataType::F16:
      return detail::convert_to_float<Half>(from, out);
    case DataType::BF16:
      return detail::convert_to_float<BFloat16>(from, out);
    default:
      throw Error(subject,
                  "tensor " + printable(tensor.name) + " holds " +
                      std::string(name_of(tensor.type)) + ", not floating-point weights",
                  "convert it to F32, F16 or BF16");
  }
}

/// The elements in place, in row-major order, or nullopt unless they are F32 at an address that a
/// float may have. Valid as long as the mapping of the file.
inline std::optional<TensorView<const float, 1>> float_view(const StoredTensor& tensor) {
  if (tensor.type != DataType::F32) return std::nullopt;
  if (tensor.bytes.empty()) return TensorView<const float, 1>{};
  if (reinterpret_cast<std::uintptr_t>(tensor.bytes.data()) % alignof(float) != 0) {
    return std::nullopt;
  }
  return TensorView<const float, 1>{reinterpret_cast<const float*>(tensor.bytes.data()),
                                    {tensor.bytes.size() / sizeof(float)}};
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
