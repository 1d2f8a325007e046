#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include <nash_swarm/core/config.hpp>

/// What pictures in SVG are written with.
namespace nash_swarm {
inline namespace NASH_SWARM_TARGET {

/// Text as the content of an element or an attribute; control characters become "?".
inline std::string xml_text(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else {
      escaped += code < 0x20u ? '?' : c;
    }
  }
  return escaped;
}

/// A number of pixels with at most one decimal.
inline std::string pixels(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  std::string number = text;
  if (number.ends_with(".0")) number.resize(number.size() - 2);
  return number;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
