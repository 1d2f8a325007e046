#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/io/data_type.hpp>
#include <nash_swarm/io/printable_name.hpp>

namespace nash_swarm {

/// A tensor as it lies in a file: row-major, little-endian, at any alignment.
struct StoredTensor {
  std::string name;
  DataType type;                     // of an element; U8 where the bytes are blocks
  std::vector<std::size_t> shape;    // the dimension that varies slowest first: [out, in]
  std::span<const std::byte> bytes;  // valid as long as the mapping of the file
  std::string file{};                // for messages
  std::string_view blocks{};         // what somebody quantized it to, for instance "Q4_K", where
                                     // the bytes are blocks of that type; empty for plain elements
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
  if (!tensor.blocks.empty()) {
    throw Error(subject,
                "tensor " + printable(tensor.name) + " is stored as " + std::string(tensor.blocks),
                "export F16 or F32");
  }
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
