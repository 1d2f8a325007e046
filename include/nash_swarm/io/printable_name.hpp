#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nash_swarm/core/config.hpp>

namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// A name out of a file, fit for a message: in quotes, control characters as \xNN (a name must not
/// steer the terminal), at most about 120 bytes of it.
inline std::string printable(std::string_view name) {
  constexpr std::size_t longest = 120;
  constexpr std::string_view digits = "0123456789abcdef";
  std::size_t length = name.size();
  if (length > longest) {
    length = longest;
    // Back to the start of a character: UTF-8 continuation bytes are 10xxxxxx.
    while (length > 0 && (static_cast<unsigned char>(name[length]) & 0xc0u) == 0x80u) --length;
  }
  std::string text = "'";
  for (const char character : name.substr(0, length)) {
    const auto code = static_cast<unsigned char>(character);
    if (code < 0x20u || code == 0x7fu) {
      text += "\\x";
      text += digits[code >> 4];
      text += digits[code & 0xfu];
    } else {
      text += character;
    }
  }
  return text + (length < name.size() ? "…'" : "'");
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
