#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>

namespace nash_swarm {

/// An array in the metadata of a GGUF file, checked when that was opened; see `elements_of`.
struct GgufArray {
  std::uint32_t type;  ///< of an element, its number in the file
  std::size_t size;
  std::span<const std::byte> bytes;  ///< valid as long as the mapping of the file
};

/// A value in the metadata of a GGUF file: a number in the widest type of its kind, or a view that
/// is valid as long as the mapping of the file.
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray>;

/// Reads the header of a GGUF file from its start to its end, and never beyond the last byte.
class GgufCursor {
 public:
  /// Deepest array in arrays that is read.
  static constexpr int deepest_array = 4;

  GgufCursor(std::span<const std::byte> bytes, std::string file)
      : bytes_(bytes), file_(std::move(file)) {}

  std::size_t position() const noexcept { return position_; }
  std::size_t left() const noexcept { return bytes_.size() - position_; }

  /// The next number.
  /// @param what it is, for messages
  /// @throws Error naming file and place if it lies beyond the end
  template <class Number>
  Number number(std::string_view what) {
    Number value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }

  /// The next string, which follows its length.
  /// @throws Error naming file and place if it lies beyond the end
  std::string_view string(std::string_view what) {
    const auto length = number<std::uint64_t>(what);
    if (length > left()) {
      fail(std::string(what) + " has a length of " + std::to_string(length) + " bytes, but only " +
           std::to_string(left()) + " follow");
    }
    const std::span<const std::byte> text = take(static_cast<std::size_t>(length), what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  /// The next value.
  /// @param type its number in the file
  /// @param depth of arrays around it
  /// @throws Error naming file and place for a value that is none or lies beyond the end
  GgufValue value(std::uint32_t type, std::string_view what, int depth = 0) {
    switch (type) {
      case 0:
        return std::uint64_t{number<std::uint8_t>(what)};
      case 1:
        return std::int64_t{number<std::int8_t>(what)};
      case 2:
        return std::uint64_t{number<std::uint16_t>(what)};
      case 3:
        return std::int64_t{number<std::int16_t>(what)};
      case 4:
        return std::uint64_t{number<std::uint32_t>(what)};
      case 5:
        return std::int64_t{number<std::int32_t>(what)};
      case 6:
        return static_cast<double>(number<float>(what));
      case 7:
        return truth(what);
      case 8:
        return string(what);
      case 9:
        return array(what, depth + 1);
      case 10:
        return number<std::uint64_t>(what);
      case 11:
        return number<std::int64_t>(what);
      case 12:
        return number<double>(what);
      default:
        fail(std::string(what) + " is of the unknown type " + std::to_string(type));
    }
  }

  /// @throws Error naming file and place
  [[noreturn]] void fail(const std::string& problem) const {
    throw Error(file_, problem + " (before byte " + std::to_string(position_) + ")",
                "copy or export the file again");
  }

 private:
  std::span<const std::byte> take(std::size_t count, std::string_view what) {
    if (count > left()) fail("the file ends within " + std::string(what));
    const std::span<const std::byte> taken = bytes_.subspan(position_, count);
    position_ += count;
    return taken;
  }

  bool truth(std::string_view what) {
    const auto value = number<std::uint8_t>(what);
    if (value > 1) fail(std::string(what) + " is a truth value of " + std::to_string(value));
    return value == 1;
  }

  GgufArray array(std::string_view what, int depth) {
    if (depth > deepest_array) {
      fail(std::string(what) + " holds arrays more than " + std::to_string(deepest_array) +
           " deep");
    }
    const auto type = number<std::uint32_t>(what);
    const auto size = number<std::uint64_t>(what);
    // An element takes a byte at least, so that the loop ends with the file.
    if (size > left()) {
      fail(std::string(what) + " has " + std::to_string(size) + " elements, but only " +
           std::to_string(left()) + " bytes follow");
    }
    const std::size_t begin = position_;
    for (std::uint64_t i = 0; i < size; ++i) value(type, what, depth);
    return {type, static_cast<std::size_t>(size), bytes_.subspan(begin, position_ - begin)};
  }

  std::span<const std::byte> bytes_;
  std::string file_;
  std::size_t position_ = 0;
};

inline namespace NASH_SWARM_TARGET {

/// The elements, all of one kind; those of an array of arrays are arrays.
/// @param array of a file that is still mapped
inline std::vector<GgufValue> elements_of(const GgufArray& array) {
  GgufCursor cursor(array.bytes, "array");
  std::vector<GgufValue> elements;
  elements.reserve(array.size);
  for (std::size_t i = 0; i < array.size; ++i) {
    elements.push_back(cursor.value(array.type, "an element"));
  }
  return elements;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
