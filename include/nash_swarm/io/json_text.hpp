#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/config.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/printable_name.hpp>

/// JSON out of files that anybody may have written, and of names that anybody may have given.
namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// A value out of a file, fit for a message. Lists and objects are not shown: they may be nested so
/// deep that to write them, or to copy them, ends the stack.
inline std::string printable_value(const nlohmann::json& value) {
  if (value.is_array()) return "a list";
  if (value.is_object()) return "an object";
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  return value.dump();
}

/// A text as a JSON string.
/// @param name what a message calls it
/// @throws Error if it is not UTF-8
inline std::string json_string(std::string_view text, std::string_view name) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(printable(name), "the text is not valid UTF-8", "encode it as UTF-8");
  }
}
inline std::string json_string(std::string_view text) {
  return json_string(text, text);
}

/// Parses a text in which no object has a key twice. (The parser itself would keep the last one.)
/// @param file names the text in messages
/// @param remedy what to do about a text that is none
/// @throws Error for text that is no JSON, has a key twice, or a number beyond the largest double
inline nlohmann::json parse_json(const std::string& file, std::string_view text,
                                 const std::string& remedy) {
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    const auto level = static_cast<std::size_t>(depth);
    if (event == nlohmann::json::parse_event_t::object_start) {
      keys.resize(level + 2);
      keys[level + 1].clear();
    } else if (event == nlohmann::json::parse_event_t::key &&
               !keys.at(level).insert(value.get<std::string>()).second) {
      throw Error(file, printable(value.get<std::string>()) + " occurs twice", remedy);
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text, watch);
  } catch (const nlohmann::json::parse_error& error) {
    throw Error(file, "not valid JSON at byte " + std::to_string(error.byte), remedy);
  } catch (const nlohmann::json::exception&) {
    throw Error(file, "a number in it is too large", remedy);
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
