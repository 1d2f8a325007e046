#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "transformer/vocabulary.hpp"

namespace transformer {

/// Two adjacent tokens and the one that takes their place.
struct Merge {
  std::int32_t left;
  std::int32_t right;
  std::int32_t product;
};

/// Merges in the order of their rank, lowest first, and the rank of each pair.
class MergeTable {
 public:
  bool add(const Merge& merge) {
    if (!ranks_.emplace(key(merge.left, merge.right), merges_.size()).second) return false;
    merges_.push_back(merge);
    return true;
  }
  void reserve(std::size_t merges) {
    merges_.reserve(merges);
    ranks_.reserve(merges);
  }
  const Merge& operator[](std::size_t rank) const { return merges_[rank]; }
  std::optional<std::size_t> rank(std::int32_t left, std::int32_t right) const {
    const auto found = ranks_.find(key(left, right));
    if (found == ranks_.end()) return std::nullopt;
    return found->second;
  }

 private:
  static std::uint64_t key(std::int32_t left, std::int32_t right) {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint64_t>(right);
  }

  std::vector<Merge> merges_;
  std::unordered_map<std::uint64_t, std::size_t> ranks_;
};

/// The merge of two tokens.
/// @param place of the merge in the file, for messages
/// @throws nash_swarm::Error naming file, place and token, if one of the three is not in `ids`
Merge find_merge(const std::string& left, const std::string& right, const TokenIds& ids,
                 const std::string& file, const std::string& place);

/// The merge of two tokens with a blank between.
/// @throws nash_swarm::Error as `find_merge`, or if the text is anything else
Merge parse_merge(std::string_view text, const TokenIds& ids, const std::string& file,
                  const std::string& place);

/// Reads a merges.txt, a merge on each line.
/// @param file stands for it in messages
/// @throws nash_swarm::Error naming file and line, if one is not a new pair of tokens that make up
/// a third
MergeTable parse_merges(std::string_view text, const TokenIds& ids, const std::string& file);

}  // namespace transformer
