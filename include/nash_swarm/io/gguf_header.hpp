#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/gguf_type.hpp>
#include <nash_swarm/io/gguf_value.hpp>
#include <nash_swarm/io/printable_name.hpp>

namespace nash_swarm {

/// The key of the metadata that says at which multiples tensors begin.
inline constexpr std::string_view gguf_alignment_key = "general.alignment";

/// The same where the metadata do not say it.
inline constexpr std::uint64_t gguf_default_alignment = 32;

/// Largest alignment that is read; files have 32.
inline constexpr std::uint64_t gguf_largest_alignment = std::uint64_t{1} << 20;

/// Most dimensions of a tensor, as in ggml.
inline constexpr std::uint32_t gguf_most_dimensions = 4;

/// What a GGUF header says, checked for form only: the offsets may still be wrong. Views are valid
/// as long as the mapping of the file.
struct GgufHeader {
  struct Entry {
    std::string_view name;
    const GgufType* type;
    std::vector<std::size_t> shape;  ///< the dimension that varies slowest first
    std::uint64_t offset;            ///< in bytes from the start of the data
  };
  std::uint32_t version = 0;
  std::map<std::string_view, GgufValue> metadata;
  std::vector<Entry> entries;  ///< in the order of the header
  std::uint64_t alignment = gguf_default_alignment;
  std::uint64_t data_begin = 0;  ///< may lie beyond the end of a file without tensors
};

namespace detail {

/// Reads a GGUF header. Form and numbers are those of ggml's docs/gguf.md, versions 2 and 3.
class GgufHeaderParser {
 public:
  GgufHeaderParser(std::span<const std::byte> bytes, const std::string& file)
      : file_(file), cursor_(bytes, file) {}

  GgufHeader parse() {
    read_version();
    const std::uint64_t tensors = read_count("tensors", smallest_entry);
    const std::uint64_t pairs = read_count("metadata", smallest_pair);
    for (std::uint64_t i = 0; i < pairs; ++i) read_pair();
    read_alignment();
    header_.entries.reserve(static_cast<std::size_t>(tensors));
    for (std::uint64_t i = 0; i < tensors; ++i) read_entry();
    const std::uint64_t begin = cursor_.position() + header_.alignment - 1;
    header_.data_begin = begin / header_.alignment * header_.alignment;
    return std::move(header_);
  }

 private:
  static constexpr std::uint64_t smallest_entry = 24;  // bytes: no name, no dimensions
  static constexpr std::uint64_t smallest_pair = 13;   // bytes: no key, value of one byte

  void read_version() {
    constexpr std::uint32_t magic = 0x46554747;  // "GGUF"
    if (cursor_.number<std::uint32_t>("the magic number") != magic) {
      throw Error(file_, "does not begin with 'GGUF'", "check that it is a GGUF file");
    }
    header_.version = cursor_.number<std::uint32_t>("the version");
    if (header_.version == 2 || header_.version == 3) return;
    const bool swapped = header_.version != 0 && (header_.version & 0xffffu) == 0;
    throw Error(
        file_,
        swapped ? "the file is big-endian"
                : "the file is of GGUF version " + std::to_string(header_.version) + ", not 2 or 3",
        swapped ? "convert it to little-endian" : "export the model again");
  }

  /// What is counted must fit into the file, so that nothing is allocated for a count that lies.
  std::uint64_t read_count(const std::string& what, std::uint64_t smallest) {
    const auto count = cursor_.number<std::uint64_t>("the number of " + what);
    if (count > cursor_.left() / smallest) {
      cursor_.fail("the number of " + what + " is " + std::to_string(count) +
                   ", more than fit into the file");
    }
    return count;
  }

  void read_pair() {
    const std::string_view key = cursor_.string("a key of the metadata");
    if (key.empty()) cursor_.fail("a key of the metadata is empty");
    const std::string what = "metadata " + printable(key);
    const auto type = cursor_.number<std::uint32_t>(what);
    const bool added = header_.metadata.emplace(key, cursor_.value(type, what)).second;
    if (!added) cursor_.fail(what + ": the key occurs twice");
  }

  void read_alignment() {
    const auto found = header_.metadata.find(gguf_alignment_key);
    if (found == header_.metadata.end()) return;
    const auto* const alignment = std::get_if<std::uint64_t>(&found->second);
    const std::string what = "metadata " + printable(gguf_alignment_key);
    if (alignment == nullptr) cursor_.fail(what + " is not an unsigned number");
    const bool power = *alignment != 0 && (*alignment & (*alignment - 1)) == 0;
    if (!power || *alignment > gguf_largest_alignment) {
      cursor_.fail(what + " is " + std::to_string(*alignment) + ", not a power of two up to " +
                   std::to_string(gguf_largest_alignment));
    }
    header_.alignment = *alignment;
  }

  void read_entry() {
    const std::string_view name = cursor_.string("the name of a tensor");
    if (name.empty()) cursor_.fail("the name of a tensor is empty");
    const std::string what = "tensor " + printable(name);
    std::vector<std::size_t> shape = read_shape(what);
    const auto number = cursor_.number<std::uint32_t>(what);
    const GgufType* const type = gguf_type_of(number);
    if (type == nullptr) cursor_.fail(what + " is of the unknown type " + std::to_string(number));
    const std::size_t row = shape.empty() ? 1 : shape.back();
    if (row % type->block_weights != 0) {
      cursor_.fail(what + " has rows of " + std::to_string(row) +
                   ", which are no whole blocks of " + std::string(type->name));
    }
    const auto offset = cursor_.number<std::uint64_t>(what);
    header_.entries.push_back({name, type, std::move(shape), offset});
  }

  std::vector<std::size_t> read_shape(const std::string& what) {
    const auto dimensions = cursor_.number<std::uint32_t>(what);
    if (dimensions > gguf_most_dimensions) {
      cursor_.fail(what + " has " + std::to_string(dimensions) + " dimensions, more than " +
                   std::to_string(gguf_most_dimensions));
    }
    std::vector<std::size_t> shape(dimensions);
    for (std::size_t i = dimensions; i-- > 0;) {  // the file begins with the fastest
      const auto extent = cursor_.number<std::uint64_t>(what);
      if (extent == 0) cursor_.fail(what + " has a dimension of 0");
      if (!std::in_range<std::ptrdiff_t>(extent)) {
        cursor_.fail(what + " has a dimension of " + std::to_string(extent));
      }
      shape[i] = static_cast<std::size_t>(extent);
    }
    return shape;
  }

  std::string file_;
  GgufCursor cursor_;
  GgufHeader header_;
};

}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Reads the header of a GGUF file.
/// @param bytes of the whole file
/// @throws Error naming `file` and the key, the tensor or the byte, for anything but the format's
///   form, for big-endian files and for other versions than 2 and 3
inline GgufHeader parse_gguf_header(std::span<const std::byte> bytes, const std::string& file) {
  return detail::GgufHeaderParser(bytes, file).parse();
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
