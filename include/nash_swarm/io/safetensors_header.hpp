#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <nash_swarm/io/printable_name.hpp>

namespace nash_swarm {

/// Bytes of the little-endian integer at the start of a safetensors file: the size of its header.
inline constexpr std::size_t safetensors_length_bytes = 8;

/// Largest header that the format allows, in bytes.
inline constexpr std::size_t safetensors_largest_header = 100'000'000;

/// Most dimensions of a tensor that are read or written.
inline constexpr std::size_t safetensors_most_dimensions = 64;

/// The key of the header's text entries; no tensor can have this name.
inline constexpr std::string_view safetensors_metadata_key = "__metadata__";

/// What a safetensors header says, checked for form only: the offsets may still be wrong.
struct SafetensorsHeader {
  /// Bytes [begin, end) of the data, which start after the header.
  struct Entry {
    std::string name;
    DataType type;
    std::vector<std::size_t> shape;
    std::size_t begin;
    std::size_t end;
  };
  std::vector<Entry> entries;  // in the order of the header
  std::map<std::string, std::string> metadata;
};

namespace detail {

/// Takes the events of a JSON parser and accepts exactly the form of a safetensors header. It
/// refuses at the first event out of place, so neither depth nor size can exhaust anything.
class SafetensorsHeaderBuilder {
 public:
  explicit SafetensorsHeaderBuilder(std::string file) : file_(std::move(file)) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() { refuse("null"); }
  bool boolean(bool) { refuse("a truth value"); }
  bool number_integer(std::int64_t value) {
    refuse("the negative number " + std::to_string(value));
  }
  bool number_float(double, const std::string& text) { refuse("the number " + printable(text)); }
  bool binary(std::vector<std::uint8_t>&) { refuse("binary data"); }

  bool number_unsigned(std::uint64_t value) {
    if (place_ != Place::Numbers || !std::in_range<std::size_t>(value)) {
      refuse("the number " + std::to_string(value));
    }
    if (numbers_.size() == safetensors_most_dimensions) {
      fail(printable(field_) + " has more than " + std::to_string(safetensors_most_dimensions) +
           " numbers");
    }
    numbers_.push_back(static_cast<std::size_t>(value));
    return true;
  }

  bool string(std::string& value) {
    if (place_ == Place::Metadata) {
      header_.metadata.insert_or_assign(field_, std::move(value));
      return true;
    }
    if (place_ != Place::Tensor || field_ != "dtype") refuse("the string " + printable(value));
    type_ = data_type_named(value);
    if (!type_) {
      fail("unknown dtype " + printable(value),
           "convert the tensor to one of " + data_type_names());
    }
    return true;
  }

  bool start_object(std::size_t) {
    if (place_ == Place::Document) {
      place_ = Place::Names;
    } else if (place_ == Place::Names) {
      place_ = name_ == safetensors_metadata_key ? Place::Metadata : Place::Tensor;
    } else {
      refuse("an object");
    }
    return true;
  }

  bool key(std::string& key) {
    if (place_ == Place::Names) {
      start_entry(key);
    } else {
      start_field(key);
    }
    return true;
  }

  bool end_object() {
    if (place_ == Place::Names) {
      place_ = Place::Document;
      return true;
    }
    if (place_ == Place::Tensor) finish_tensor();
    place_ = Place::Names;
    name_.reset();
    field_.clear();
    return true;
  }

  bool start_array(std::size_t) {
    if (place_ != Place::Tensor || (field_ != "shape" && field_ != "data_offsets")) {
      refuse("an array");
    }
    place_ = Place::Numbers;
    numbers_.clear();
    return true;
  }

  bool end_array() {
    place_ = Place::Tensor;
    (field_ == "shape" ? shape_ : offsets_) = numbers_;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
    name_.reset();
    fail("the header is no valid JSON at its byte " + std::to_string(position));
  }

 private:
  /// Where in the header the next event belongs: outside, among the names, in the metadata, in the
  /// object of a tensor, or in one of its arrays.
  enum class Place { Document, Names, Metadata, Tensor, Numbers };

  void start_entry(const std::string& name) {
    name_ = name;
    if (name.empty()) fail("the name is empty", "give every tensor a name");
    if (name == safetensors_metadata_key && std::exchange(has_metadata_, true)) {
      fail("the key occurs twice");
    }
    type_.reset();
    shape_.reset();
    offsets_.reset();
  }

  void start_field(const std::string& field) {
    field_ = field;
    const bool known = place_ == Place::Metadata || field == "dtype" || field == "shape" ||
                       field == "data_offsets";
    if (!known) fail("unknown key " + printable(field));
    const bool seen = place_ == Place::Metadata
                          ? header_.metadata.contains(field)
                          : (field == "dtype" && type_) || (field == "shape" && shape_) ||
                                (field == "data_offsets" && offsets_);
    if (seen) fail("the key " + printable(field) + " occurs twice");
  }

  void finish_tensor() {
    if (!type_) fail("'dtype' is missing");
    if (!shape_) fail("'shape' is missing");
    if (!offsets_) fail("'data_offsets' is missing");
    if (offsets_->size() != 2) {
      fail("'data_offsets' has " + std::to_string(offsets_->size()) + " numbers instead of 2");
    }
    header_.entries.push_back({*name_, *type_, std::move(*shape_), (*offsets_)[0], (*offsets_)[1]});
  }

  [[noreturn]] void refuse(const std::string& found) const {
    fail((field_.empty() ? "" : printable(field_) + " holds ") + found +
         (field_.empty() ? " in the place of an object" : ", which does not belong there"));
  }

  [[noreturn]] void fail(const std::string& problem,
                         const std::string& remedy = "copy or export the file again") const {
    std::string where;
    if (name_) {
      where = (*name_ == safetensors_metadata_key ? "" : "tensor ") + printable(*name_) + ": ";
    }
    throw Error(file_, where + problem, remedy);
  }

  std::string file_;
  SafetensorsHeader header_;
  bool has_metadata_ = false;
  Place place_ = Place::Document;
  std::optional<std::string> name_;  // of the tensor, or the key of the metadata
  std::string field_;                // the key inside it
  std::optional<DataType> type_;
  std::optional<std::vector<std::size_t>> shape_;
  std::optional<std::vector<std::size_t>> offsets_;
  std::vector<std::size_t> numbers_;
};

}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// The JSON text of a safetensors file's header, without the length before it.
/// @throws Error naming `file` if the bytes before the data lie about their length
inline std::string_view safetensors_header_text(std::span<const std::byte> bytes,
                                                const std::string& file) {
  const std::string remedy = "copy or download the file again";
  if (bytes.size() < safetensors_length_bytes) {
    throw Error(file,
                "the file ends at byte " + std::to_string(bytes.size()) +
                    ", within the length of its header",
                remedy);
  }
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const std::size_t rest = bytes.size() - safetensors_length_bytes;
  const std::string stated =
      "the header's length at byte 0 is " + std::to_string(length) + " bytes";
  if (length == 0) throw Error(file, stated, remedy);
  if (length > rest) {
    throw Error(file, stated + ", but only " + std::to_string(rest) + " follow", remedy);
  }
  if (length > safetensors_largest_header) {
    throw Error(file,
                stated + ", more than the format allows (" +
                    std::to_string(safetensors_largest_header) + ")",
                remedy);
  }
  return {reinterpret_cast<const char*>(bytes.data()) + safetensors_length_bytes,
          static_cast<std::size_t>(length)};
}

/// Reads the JSON text of a header.
/// @throws Error naming `file`, and the tensor or the byte, for anything but the format's form
inline SafetensorsHeader parse_safetensors_header(std::string_view text, const std::string& file) {
  const std::string remedy = "check that it is a safetensors file";
  if (!text.starts_with('{')) throw Error(file, "the header is not a JSON object", remedy);
  // The parser takes a zero byte for the end and would not look at what follows it.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw Error(file, "zero byte at byte " + std::to_string(zero) + " of the header", remedy);
  }
  detail::SafetensorsHeaderBuilder builder(file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
