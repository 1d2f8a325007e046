#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace transformer {

/// The ids of tokens as a vocabulary spells them.
using TokenIds = std::unordered_map<std::string, std::int32_t>;

inline constexpr std::size_t byte_values = 256;

/// The remedy for a file that cannot have been written as it is.
inline constexpr const char* download_again = "download or export the file again";

/// The start of `text` as one printable line.
std::string in_quotes(std::string_view text);

/// Reads a vocab.json, a flat JSON object.
/// @param file stands for it in messages
/// @throws nash_swarm::Error naming file and entry, if it is none or lists a token twice
TokenIds read_vocabulary(std::string_view json, const std::string& file);

/// Adds a token to `ids`.
/// @param file stands for the vocabulary in messages
/// @throws nash_swarm::Error naming the token, if it is listed twice or its id too large
void add_token(TokenIds& ids, const std::string& token, std::uint64_t id, const std::string& file);

/// The tokens as they are spelled, by id; views of the keys of `ids`.
/// @throws nash_swarm::Error if the ids are not 0 … n-1, each once
std::vector<std::string_view> tokens_by_id(const TokenIds& ids, const std::string& file);

/// The id of "<|endoftext|>", if the vocabulary has it.
std::optional<std::int32_t> end_of_text_in(const TokenIds& ids);

/// How a vocabulary spells each byte.
using ByteSpelling = std::array<std::string, byte_values>;

/// The token of each byte.
/// @throws nash_swarm::Error if one has none
std::array<std::int32_t, byte_values> ids_of_bytes(const TokenIds& ids,
                                                   const ByteSpelling& spelling,
                                                   const std::string& file);

}  // namespace transformer
