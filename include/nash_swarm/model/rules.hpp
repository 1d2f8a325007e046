#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/format/formats.hpp>

#if NASH_SWARM_DEFINITIONS
#include <regex>
#endif

namespace nash_swarm {

/// A format and the matrices that it is about: those in whose names the pattern, a regular
/// expression (ECMAScript), is found; `^` and `$` stand for the ends of the name.
struct FormatRule {
  std::string pattern;
  std::string format;  ///< name in `format_table`
};

/// A budget of time beside that of bytes.
struct TimeRule {
  std::vector<std::uint64_t> block_time;  ///< [format_count] of a block of 16 rows × 64 channels in
                                          ///< each format, as measured, in any whole unit
  std::uint64_t budget = 0;  ///< most time of all blocks together, in that unit
};

/// What the user demands of a plan, whatever the game would choose.
struct Rules {
  std::vector<FormatRule> fixed = {};      ///< the only format of these matrices
  std::vector<FormatRule> forbidden = {};  ///< no format of these matrices
  std::optional<double> min_bits = {};     ///< fewest bits per weight that a format may have
  std::optional<double> max_bits = {};     ///< most bits per weight that a format may have
  std::optional<TimeRule> time = {};
  /// The families of window codes to choose from: the 32-bit hash loses least; sums and the 16-bit
  /// hash are decoded twice as fast, and sums searched many times as fast. Codes of other families
  /// have to be fixed.
  std::vector<WindowFamily> windows = {WindowFamily::hash32};
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

inline std::size_t format_of_rule(const FormatRule& rule) {
  const std::size_t place = format_index(std::string_view(rule.format));
  if (place != format_count) return place;
  std::string names;
  for (const Format& format : format_table) {
    names += (names.empty() ? "" : ", ") + std::string(format.name);
  }
  throw Error("rule " + rule.pattern + "=" + rule.format, "unknown format \"" + rule.format + "\"",
              "use one of " + names);
}

#if NASH_SWARM_DEFINITIONS
/// Which names the rule is about, [names].
NASH_SWARM_FUNCTION std::vector<bool> names_of_rule(const FormatRule& rule,
                                                    const std::vector<std::string>& names) {
  const std::string subject = "rule " + rule.pattern + "=" + rule.format;
  std::vector<bool> matches;
  bool any = false;
  try {
    const std::regex pattern(rule.pattern);
    for (const std::string& name : names) {
      matches.push_back(std::regex_search(name, pattern));
      any = any || matches.back();
    }
  } catch (const std::regex_error& error) {
    throw Error(subject, "\"" + rule.pattern + "\" is no regular expression: " + error.what(),
                "give one in the syntax of ECMAScript");
  }
  if (any) return matches;
  throw Error(subject, "no matrix has a name in which \"" + rule.pattern + "\" is found",
              names.empty() ? "" : "names look like " + names.front());
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// The formats that the rules leave to each of some matrices, as places in `format_table`,
/// ascending.
/// @throws Error that names the rule for an unknown format, a pattern that is wrong or matches
///         nothing, bits that are no limits, and the matrix to which no format is left
NASH_SWARM_FUNCTION std::vector<std::vector<std::uint32_t>> allowed_formats(
    const Rules& rules, const std::vector<std::string>& names);

#if NASH_SWARM_DEFINITIONS
NASH_SWARM_DEFINITION std::vector<std::vector<std::uint32_t>> allowed_formats(
    const Rules& rules, const std::vector<std::string>& names) {
  const double least = rules.min_bits.value_or(0.0);
  const double most = rules.max_bits.value_or(format_table.back().bits_per_weight());
  if (!(least >= 0.0) || !(most >= least)) {
    throw Error("rules", "no format has " + std::to_string(least) + " bits or more and " +
                             std::to_string(most) + " or fewer");
  }
  std::vector<std::vector<bool>> allowed(names.size(), std::vector<bool>(format_count));
  for (auto& matrix : allowed) {
    for (std::size_t f = 0; f < format_count; ++f) {
      const double bits = format_table[f].bits_per_weight();
      const WindowFamily family = format_table[f].family;
      matrix[f] = bits >= least && bits <= most &&
                  (family == WindowFamily::none ||
                   std::find(rules.windows.begin(), rules.windows.end(), family) !=
                       rules.windows.end());
    }
  }
  std::vector<std::vector<std::size_t>> fixed_formats(names.size());
  const auto apply = [&](const FormatRule& rule, bool fixed) {
    const std::size_t format = detail::format_of_rule(rule);
    const std::vector<bool> matches = detail::names_of_rule(rule, names);
    for (std::size_t m = 0; m < names.size(); ++m) {
      if (!matches[m]) continue;
      if (!fixed) {
        allowed[m][format] = false;
        continue;
      }
      const double bits = format_table[format].bits_per_weight();
      const bool other = std::any_of(fixed_formats[m].begin(), fixed_formats[m].end(),
                                     [&](std::size_t f) { return f != format; });
      fixed_formats[m].push_back(format);
      allowed[m].assign(format_count, false);
      allowed[m][format] = !other && bits >= least && bits <= most;
    }
  };
  for (const FormatRule& rule : rules.fixed) apply(rule, true);
  for (const FormatRule& rule : rules.forbidden) apply(rule, false);
  std::vector<std::vector<std::uint32_t>> formats(names.size());
  for (std::size_t m = 0; m < names.size(); ++m) {
    for (std::uint32_t f = 0; f < format_count; ++f) {
      if (allowed[m][f]) formats[m].push_back(f);
    }
    if (formats[m].empty()) {
      throw Error(names[m], "the rules leave no format to it", "drop one of the rules about it");
    }
  }
  return formats;
}
#endif

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
