#pragma once

#include <filesystem>
#include <string>

namespace transformer {

/// The bytes of a file.
/// @throws nash_swarm::Error naming the file if it is missing, unreadable, empty or not a file
std::string read_text_file(const std::filesystem::path& file);

/// The text of a file: plain, or of JSON lines (names that end in .jsonl, .ndjson or .json; the
/// layout of C4 and the Pile) the "text" fields, a blank line between them.
/// @throws nash_swarm::Error as `read_text_file`, or naming file and line of one that is no JSON
/// object with a "text"
std::string read_text(const std::filesystem::path& file);

}  // namespace transformer
