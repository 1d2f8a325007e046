#include "transformer/byte_pair_merges.hpp"

#include <algorithm>

#include <nash_swarm/core/error.hpp>

namespace transformer {
using nash_swarm::Error;

Merge find_merge(const std::string& left, const std::string& right, const TokenIds& ids,
                 const std::string& file, const std::string& place) {
  const auto id_of = [&](const std::string& token) {
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw Error(file,
                  place + "token " + in_quotes(token) + " of " + in_quotes(left + ' ' + right) +
                      " is not in the vocabulary",
                  "pass the merges and the vocabulary of the same model");
    }
    return found->second;
  };
  return {id_of(left), id_of(right), id_of(left + right)};
}

Merge parse_merge(std::string_view text, const TokenIds& ids, const std::string& file,
                  const std::string& place) {
  const std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == text.size() ||
      text.find(' ', blank + 1) != std::string_view::npos) {
    throw Error(file, place + in_quotes(text) + " is not two tokens with one blank between",
                download_again);
  }
  return find_merge(std::string(text.substr(0, blank)), std::string(text.substr(blank + 1)), ids,
                    file, place);
}

MergeTable parse_merges(std::string_view text, const TokenIds& ids, const std::string& file) {
  text = text.substr(0, text.find_last_not_of("\r\n") + 1);
  if (text.empty()) throw Error(file, "the file is empty", download_again);
  MergeTable merges;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1 && line.starts_with("#version")) continue;
    const std::string place = "line " + std::to_string(number) + ": ";
    if (!merges.add(parse_merge(line, ids, file, place))) {
      throw Error(file, place + in_quotes(line) + " is listed twice", download_again);
    }
  }
  return merges;
}

}  // namespace transformer
