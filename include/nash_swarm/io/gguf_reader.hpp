#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/io/data_type.hpp>
#include <nash_swarm/io/gguf_header.hpp>
#include <nash_swarm/io/gguf_type.hpp>
#include <nash_swarm/io/gguf_value.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/io/stored_tensor.hpp>
#include <nash_swarm/io/tensor_file.hpp>

namespace nash_swarm {

/// A GGUF file (llama.cpp, versions 2 and 3), mapped read-only. Everything that its header says is
/// checked when it is opened. Quantized tensors are listed with their bytes, but `read_floats`
/// refuses them.
class GgufFile : public TensorFile {
 public:
  /// @throws Error naming the file, and the tensor where there is one, for a file that cannot be
  ///   read or that does not keep to the format
  explicit GgufFile(const std::filesystem::path& path) : TensorFile(path) {
    GgufHeader header = parse_gguf_header(mapping()->bytes(), path.string());
    metadata_ = std::move(header.metadata);
    place_tensors(header);
  }

  /// What the file says of the model; keys and values are valid as long as the mapping.
  const std::map<std::string_view, GgufValue>& metadata() const noexcept { return metadata_; }

 private:
  void place_tensors(const GgufHeader& header) {
    const std::span<const std::byte> whole = mapping()->bytes();
    const auto begin = std::min<std::uint64_t>(header.data_begin, whole.size());
    const std::span<const std::byte> data = whole.subspan(static_cast<std::size_t>(begin));
    std::vector<StoredTensor> tensors;
    tensors.reserve(header.entries.size());
    for (const GgufHeader::Entry& entry : header.entries) {
      tensors.push_back({std::string(entry.name), entry.type->element.value_or(DataType::U8),
                         entry.shape, bytes_of(entry, header.alignment, data), path().string(),
                         entry.type->element ? "" : entry.type->name});
    }
    std::stable_sort(tensors.begin(), tensors.end(),
                     [](const auto& a, const auto& b) { return a.bytes.data() < b.bytes.data(); });
    for (std::size_t i = 1; i < tensors.size(); ++i) {
      const std::span<const std::byte> before = tensors[i - 1].bytes;
      if (tensors[i].bytes.data() < before.data() + before.size()) {
        fail(tensors[i].name, "its bytes overlap those of " + printable(tensors[i - 1].name));
      }
    }
    set_tensors(std::move(tensors));
  }

  std::span<const std::byte> bytes_of(const GgufHeader::Entry& entry, std::uint64_t alignment,
                                      std::span<const std::byte> data) const {
    const std::string name(entry.name);
    const std::string place = "offset " + std::to_string(entry.offset);
    if (entry.offset % alignment != 0) {
      fail(name, place + " is not a multiple of " + std::to_string(alignment));
    }
    const std::optional<std::size_t> bytes = byte_count(*entry.type, entry.shape);
    if (!bytes) fail(name, "the size of its shape overflows");
    if (entry.offset > data.size() || *bytes > data.size() - entry.offset) {
      fail(name, place + " and " + std::to_string(*bytes) + " bytes of " +
                     std::string(entry.type->name) + " reach beyond the file's " +
                     std::to_string(data.size()) + " bytes of data");
    }
    return data.subspan(static_cast<std::size_t>(entry.offset), *bytes);
  }

  std::map<std::string_view, GgufValue> metadata_;
};

}  // namespace nash_swarm
