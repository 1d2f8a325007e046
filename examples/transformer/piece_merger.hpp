#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "transformer/byte_pair_merges.hpp"
#include "transformer/vocabulary.hpp"

namespace transformer {

/// What a piece of text consists of before anything is merged.
struct Alphabet {
  /// Tokens of whole characters; the other characters are spelled by the tokens of their bytes.
  std::unordered_map<std::string, std::int32_t> characters;
  std::array<std::int32_t, byte_values> byte_ids{};
};

enum class MergeOrder {
  /// All pairs of the lowest rank from left to right. The pairs that this makes wait until it is
  /// done, also those of a lower rank, as in GPT-2's own encoder.
  rank_by_rank,
  /// Always the lowest rank of all pairs, as in Hugging Face's tokenizers.
  lowest_of_all
};

/// Merges a piece of n bytes in O(n log n): the symbols form a linked list, and a queue holds the
/// adjacent pairs that can be merged.
class PieceMerger {
 public:
  /// @param alphabet, merges outlive the merger
  PieceMerger(const Alphabet& alphabet, const MergeTable& merges, MergeOrder order)
      : alphabet_(alphabet), merges_(merges), order_(order) {}

  /// Appends the tokens of a piece of text, valid UTF-8, to `ids`.
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
  void add_symbol(std::int32_t id);
  void add_character(std::string_view character);
  /// Merges the first pair of the queue, if it is still there.
  void merge_first();
  void propose(std::size_t position);
  void queue_proposals();

  const Alphabet& alphabet_;
  const MergeTable& merges_;
  MergeOrder order_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> proposals_;
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue_;
};

}  // namespace transformer
