#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/io/data_type.hpp>

namespace nash_swarm {

/// How the weights of a tensor lie in a GGUF file: in blocks along a row, each of so many weights
/// in so many bytes, scales included. Numbers and sizes are those of ggml (ggml.h, ggml-common.h).
struct GgufType {
  std::uint32_t number;  ///< in the file
  std::string_view name;
  std::uint32_t block_weights;
  std::uint32_t block_bytes;
  std::optional<DataType> element{};  ///< nullopt: quantized
};

inline namespace NASH_SWARM_TARGET {

/// All types that a file may name, by number.
inline constexpr std::array<GgufType, 35> gguf_types{{
    {0, "F32", 1, 4, DataType::F32},
    {1, "F16", 1, 2, DataType::F16},
    {2, "Q4_0", 32, 18},
    {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},
    {7, "Q5_1", 32, 24},
    {8, "Q8_0", 32, 34},
    {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},
    {11, "Q3_K", 256, 110},
    {12, "Q4_K", 256, 144},
    {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},
    {15, "Q8_K", 256, 292},
    {16, "IQ2_XXS", 256, 66},
    {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98},
    {19, "IQ1_S", 256, 50},
    {20, "IQ4_NL", 32, 18},
    {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},
    {23, "IQ4_XS", 256, 136},
    {24, "I8", 1, 1, DataType::I8},
    {25, "I16", 1, 2, DataType::I16},
    {26, "I32", 1, 4, DataType::I32},
    {27, "I64", 1, 8, DataType::I64},
    {28, "F64", 1, 8, DataType::F64},
    {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2, DataType::BF16},
    {34, "TQ1_0", 256, 54},
    {35, "TQ2_0", 256, 66},
    {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},
    {41, "Q1_0", 128, 18},
    {42, "Q2_0", 64, 18},
}};

/// The type of that number, or nullptr.
constexpr const GgufType* gguf_type_of(std::uint32_t number) noexcept {
  for (const GgufType& type : gguf_types) {
    if (type.number == number) return &type;
  }
  return nullptr;
}

/// The type of that name, or nullptr; case matters.
constexpr const GgufType* gguf_type_named(std::string_view name) noexcept {
  for (const GgufType& type : gguf_types) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

/// Bytes of a tensor, or nullopt if they do not fit a pointer difference.
/// @param shape [.., in], whose last extent holds whole blocks; all extents above 0
constexpr std::optional<std::size_t> byte_count(const GgufType& type,
                                                std::span<const std::size_t> shape) noexcept {
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  std::size_t bytes = type.block_bytes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const bool row = i + 1 == shape.size();
    const std::size_t count = row ? shape[i] / type.block_weights : shape[i];
    if (count > most / bytes) return std::nullopt;
    bytes *= count;
  }
  return bytes;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
