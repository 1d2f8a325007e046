#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/io/safetensors_header.hpp>
#include <nash_swarm/io/stored_tensor.hpp>
#include <nash_swarm/io/tensor_file.hpp>

namespace nash_swarm {

/// A safetensors file, mapped read-only. Everything that its header says is checked when it is
/// opened; tensors that share bytes or leave some unused are refused, as the format demands.
class SafetensorsFile : public TensorFile {
 public:
  /// @throws Error naming the file, and the tensor where there is one, for a file that cannot be
  ///   read or that does not keep to the format
  explicit SafetensorsFile(const std::filesystem::path& path) : TensorFile(path) {
    const std::string file = path.string();
    const std::string_view text = safetensors_header_text(mapping()->bytes(), file);
    SafetensorsHeader header = parse_safetensors_header(text, file);
    metadata_ = std::move(header.metadata);
    place_tensors(std::move(header.entries),
                  mapping()->bytes().subspan(safetensors_length_bytes + text.size()));
  }

  /// The text entries of the header.
  const std::map<std::string, std::string>& metadata() const noexcept { return metadata_; }

 private:
  void place_tensors(std::vector<SafetensorsHeader::Entry> entries,
                     std::span<const std::byte> data) {
    for (const SafetensorsHeader::Entry& entry : entries) check_range(entry, data.size());
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
    });
    std::vector<StoredTensor> tensors;
    std::size_t position = 0;
    for (SafetensorsHeader::Entry& entry : entries) {
      if (entry.begin < position) {
        fail(entry.name, place(entry) + " overlap " + printable(tensors.back().name));
      }
      if (entry.begin > position) {
        fail(entry.name, place(entry) + " leave a hole from " + std::to_string(position));
      }
      position = entry.end;
      const std::span<const std::byte> bytes = data.subspan(entry.begin, entry.end - entry.begin);
      tensors.push_back(
          {std::move(entry.name), entry.type, std::move(entry.shape), bytes, path().string()});
    }
    if (position != data.size()) {
      throw Error(path().string(),
                  std::to_string(data.size() - position) + " bytes at the end belong to no tensor",
                  "copy or export the file again");
    }
    set_tensors(std::move(tensors));
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

  static std::string place(const SafetensorsHeader::Entry& entry) {
    return "data_offsets [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + ")";
  }

  std::map<std::string, std::string> metadata_;
};

}  // namespace nash_swarm
