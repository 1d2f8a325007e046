#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/atomic_file.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <nash_swarm/io/json_text.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/io/safetensors_header.hpp>

namespace nash_swarm {

/// What a tensor of a file to be written is called and how large it is.
struct TensorSpec {
  std::string name;
  DataType type;
  std::vector<std::size_t> shape;
};

/// The header of a safetensors file and with it every size, known before the first byte of data.
/// Tensors lie in the given order without holes; the same input gives the same bytes.
class SafetensorsLayout {
 public:
  /// Data start at a multiple of this many bytes of the file: one cache line, one vector register.
  static constexpr std::size_t alignment = 64;

  /// @throws Error naming the tensor for a name that is empty, reserved, used twice or not UTF-8,
  ///   or a shape whose size overflows; naming the key for metadata that are not UTF-8
  explicit SafetensorsLayout(std::vector<TensorSpec> tensors,
                             std::map<std::string, std::string> metadata = {})
      : tensors_(std::move(tensors)) {
    std::string json = "{";
    if (!metadata.empty()) {
      json += json_string(safetensors_metadata_key) + ":" + metadata_json(metadata);
    }
    std::set<std::string_view> names;
    for (const TensorSpec& tensor : tensors_) {
      check(tensor, names.insert(tensor.name).second);
      if (json.size() > 1) json += ',';
      json += tensor_json(tensor);
    }
    json += '}';
    finish(json);
  }

  /// The tensors, in the order of their bytes.
  const std::vector<TensorSpec>& tensors() const noexcept { return tensors_; }

  /// Bytes before the data, the length included.
  std::size_t header_bytes() const noexcept { return header_.size(); }

  /// Size of the whole file in bytes.
  std::size_t file_bytes() const noexcept { return header_.size() + data_bytes_; }

  /// The bytes before the data.
  std::span<const std::byte> header() const noexcept { return std::as_bytes(std::span(header_)); }

 private:
  static void check(const TensorSpec& tensor, bool is_new) {
    const std::string subject = "tensor " + printable(tensor.name);
    if (tensor.name.empty()) throw Error(subject, "the name is empty", "name every tensor");
    if (tensor.name == safetensors_metadata_key) {
      throw Error(subject, "the name is reserved", "choose another name");
    }
    if (!is_new) throw Error(subject, "the name occurs twice", "choose another name");
    if (tensor.shape.size() > safetensors_most_dimensions) {
      throw Error(subject,
                  "more than " + std::to_string(safetensors_most_dimensions) + " dimensions",
                  "reshape it");
    }
  }

  /// The entry of a tensor, which takes the next bytes of the data.
  std::string tensor_json(const TensorSpec& tensor) {
    const std::optional<std::size_t> bytes = byte_count(tensor.type, tensor.shape);
    if (!bytes || *bytes > most_bytes - data_bytes_) {
      throw Error("tensor " + printable(tensor.name), "the size in bytes overflows",
                  "check its shape");
    }
    const std::size_t begin = std::exchange(data_bytes_, data_bytes_ + *bytes);
    std::string shape;
    for (const std::size_t extent : tensor.shape) {
      shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    }
    return json_string(tensor.name) + ":{\"dtype\":\"" + std::string(name_of(tensor.type)) +
           "\",\"shape\":[" + shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
           std::to_string(data_bytes_) + "]}";
  }

  static std::string metadata_json(const std::map<std::string, std::string>& metadata) {
    std::string json;
    for (const auto& [key, value] : metadata) {
      json += (json.empty() ? "{" : ",") + json_string(key) + ":" + json_string(value, key);
    }
    return json + "}";
  }

  void finish(const std::string& json) {
    const std::size_t least = safetensors_length_bytes + json.size();
    const std::size_t total = (least + alignment - 1) / alignment * alignment;
    const std::uint64_t length = total - safetensors_length_bytes;
    if (length > safetensors_largest_header) {
      throw Error("safetensors header",
                  std::to_string(length) + " bytes are more than " +
                      std::to_string(safetensors_largest_header),
                  "store long texts as tensors");
    }
    if (data_bytes_ > most_bytes - total) {
      throw Error("safetensors file", "the size in bytes overflows", "check the shapes");
    }
    header_.assign(total, ' ');
    std::memcpy(header_.data(), &length, sizeof length);
    std::memcpy(header_.data() + safetensors_length_bytes, json.data(), json.size());
  }

  static constexpr auto most_bytes =
      static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());

  std::vector<TensorSpec> tensors_;
  std::string header_;
  std::size_t data_bytes_ = 0;
};

/// Writes a safetensors file that appears under its name only when it is whole.
class SafetensorsWriter {
 public:
  /// Opens a temporary file beside the target, reserves the space and writes the header.
  /// @throws Error naming the target if it cannot be written or has no room
  SafetensorsWriter(const std::filesystem::path& target, const SafetensorsLayout& layout)
      : file_(target), missing_(layout.file_bytes() - layout.header_bytes()) {
    file_.reserve(layout.file_bytes());
    file_.write(layout.header());
  }

  /// Appends data in the order of the layout, in pieces of any size.
  /// @throws Error naming the target for more bytes than the layout has, or if the system cannot
  ///   take them; the temporary file is gone
  void write(std::span<const std::byte> bytes) {
    if (bytes.size() > missing_) {
      file_.abandon();
      throw Error(file_.target().string(), std::to_string(bytes.size()) +
                                               " bytes to write, but the layout has room for " +
                                               std::to_string(missing_) + " more");
    }
    file_.write(bytes);
    missing_ -= bytes.size();
  }

  /// Makes the file durable and gives it its name; to be called once, after the last byte.
  /// @throws Error naming the target if bytes are missing or the system fails; the temporary file
  ///   is gone
  void commit() {
    if (missing_ != 0) {
      file_.abandon();
      throw Error(file_.target().string(),
                  std::to_string(missing_) + " bytes of the layout were not written");
    }
    file_.commit();
  }

 private:
  AtomicFile file_;
  std::size_t missing_;
};

}  // namespace nash_swarm
