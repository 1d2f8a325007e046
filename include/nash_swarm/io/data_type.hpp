#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {

static_assert(std::endian::native == std::endian::little,
              "tensors are stored little-endian and read in place");

/// Element type of a stored tensor, named as in the safetensors format.
enum class DataType : std::uint8_t {
  F64,
  F32,
  F16,
  BF16,
  I64,
  I32,
  I16,
  I8,
  U64,
  U32,
  U16,
  U8,
  Bool
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

struct DataTypeRow {
  DataType type;
  std::string_view name;
  std::size_t size;
};

/// In the order of the enumerators, so that a type is its own index.
inline constexpr std::array<DataTypeRow, 13> data_types{{{DataType::F64, "F64", 8},
                                                         {DataType::F32, "F32", 4},
                                                         {DataType::F16, "F16", 2},
                                                         {DataType::BF16, "BF16", 2},
                                                         {DataType::I64, "I64", 8},
                                                         {DataType::I32, "I32", 4},
                                                         {DataType::I16, "I16", 2},
                                                         {DataType::I8, "I8", 1},
                                                         {DataType::U64, "U64", 8},
                                                         {DataType::U32, "U32", 4},
                                                         {DataType::U16, "U16", 2},
                                                         {DataType::U8, "U8", 1},
                                                         {DataType::Bool, "BOOL", 1}}};

constexpr bool each_type_is_its_index() noexcept {
  for (std::size_t i = 0; i < data_types.size(); ++i) {
    if (static_cast<std::size_t>(data_types[i].type) != i) return false;
  }
  return true;
}
static_assert(each_type_is_its_index());

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Bytes of one element.
constexpr std::size_t size_of(DataType type) noexcept {
  return detail::data_types[static_cast<std::size_t>(type)].size;
}

/// The name that a safetensors header uses, for instance "BF16".
constexpr std::string_view name_of(DataType type) noexcept {
  return detail::data_types[static_cast<std::size_t>(type)].name;
}

/// The type of that name, or nullopt if there is none; case matters.
constexpr std::optional<DataType> data_type_named(std::string_view name) noexcept {
  for (const detail::DataTypeRow& row : detail::data_types) {
    if (row.name == name) return row.type;
  }
  return std::nullopt;
}

/// All names, separated by commas, for messages.
inline std::string data_type_names() {
  std::string names;
  for (const detail::DataTypeRow& row : detail::data_types) {
    if (!names.empty()) names += ", ";
    names += row.name;
  }
  return names;
}

/// Bytes of a dense tensor, or nullopt if they do not fit a pointer difference. An empty shape is a
/// scalar; an extent of 0 makes 0 bytes.
constexpr std::optional<std::size_t> byte_count(DataType type,
                                                std::span<const std::size_t> shape) noexcept {
  for (const std::size_t extent : shape) {
    if (extent == 0) return 0;
  }
  constexpr auto most = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  std::size_t bytes = size_of(type);
  for (const std::size_t extent : shape) {
    if (extent > most / bytes) return std::nullopt;
    bytes *= extent;
  }
  return bytes;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
