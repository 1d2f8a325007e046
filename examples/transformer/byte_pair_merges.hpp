#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
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

/// Reads a merges.txt, a merge on each line.
/// @param file stands for it in messages
/// @throws nash_swarm::Error naming file and line, if one is not a new pair of tokens that make up
/// a third
MergeTable parse_merges(std::string_view text, const TokenIds& ids, const std::string& file);

/// Merges a piece of n bytes in O(n log n): the symbols form a linked list, and a queue holds the
/// adjacent pairs that can be merged.
class PieceMerger {
 public:
  PieceMerger(const std::array<std::int32_t, byte_values>& byte_ids, const MergeTable& merges)
      : byte_ids_(byte_ids), merges_(merges) {}

  /// Appends the tokens of a piece of text to `ids`.
  void append(std::string_view piece, std::vector<std::int32_t>& ids);

 private:
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  static constexpr std::int32_t merged_away = -1;

  struct Symbol {
    std::int32_t id;
    std::size_t previous;
    std::size_t next;
  };
  /// The pair of the symbol at `position` and its successor, as it was when it entered the queue.
  struct Candidate {
    std::size_t rank;
    std::size_t position;
    auto operator<=>(const Candidate&) const = default;
  };

  void start(std::string_view piece);
  /// Merges all pairs of one rank from left to right. The pairs that this makes wait until it is
  /// done, also those of a lower rank, as in GPT-2's own encoder.
  void merge_lowest_rank();
  void propose(std::size_t position);
  void queue_proposals();

  const std::array<std::int32_t, byte_values>& byte_ids_;
  const MergeTable& merges_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> proposals_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace transformer
