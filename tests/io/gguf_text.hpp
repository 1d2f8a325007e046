#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nash_swarm::test {

/// The bytes of a number as a GGUF file holds it.
template <class Number>
std::string gguf_number(Number value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string gguf_string(std::string_view text) {
  return gguf_number(std::uint64_t{text.size()}) + std::string(text);
}

/// An array of elements that are bytes already.
inline std::string gguf_array(std::uint32_t type, const std::vector<std::string>& elements) {
  std::string bytes = gguf_number(type) + gguf_number(std::uint64_t{elements.size()});
  for (const std::string& element : elements) bytes += element;
  return bytes;
}

/// A GGUF file in memory, true or false as a test wants it.
struct GgufText {
  struct Pair {
    std::string key;
    std::uint32_t type;
    std::string value;
  };
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dimensions;  // the fastest first, as in the file
    std::uint32_t type;
    std::uint64_t offset;
  };
  std::uint32_t magic = 0x46554747;
  std::uint32_t version = 3;
  std::vector<Pair> pairs;
  std::vector<Tensor> tensors;
  std::string data;
  std::size_t alignment = 32;  // of the data
  std::uint64_t more_tensors = 0;
  std::uint64_t more_pairs = 0;  // than there are

  std::string header() const {
    std::string text = gguf_number(magic) + gguf_number(version) +
                       gguf_number(std::uint64_t{tensors.size()} + more_tensors) +
                       gguf_number(std::uint64_t{pairs.size()} + more_pairs);
    for (const Pair& pair : pairs) {
      text += gguf_string(pair.key) + gguf_number(pair.type) + pair.value;
    }
    for (const Tensor& tensor : tensors) {
      text += gguf_string(tensor.name) +
              gguf_number(static_cast<std::uint32_t>(tensor.dimensions.size()));
      for (const std::uint64_t extent : tensor.dimensions) text += gguf_number(extent);
      text += gguf_number(tensor.type) + gguf_number(tensor.offset);
    }
    return text;
  }

  std::string whole() const {
    std::string text = header();
    text.resize((text.size() + alignment - 1) / alignment * alignment);
    return text + data;
  }
};

/// Adds a tensor of these bytes behind those that are there.
inline void add_tensor(GgufText& text, const std::string& name,
                       std::vector<std::uint64_t> dimensions, std::uint32_t type,
                       const std::string& bytes) {
  text.data.resize((text.data.size() + text.alignment - 1) / text.alignment * text.alignment);
  text.tensors.push_back({name, std::move(dimensions), type, text.data.size()});
  text.data += bytes;
}

}  // namespace nash_swarm::test
