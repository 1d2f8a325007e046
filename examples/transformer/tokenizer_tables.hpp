#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "transformer/blank_marks.hpp"
#include "transformer/byte_pair_merges.hpp"
#include "transformer/piece_merger.hpp"
#include "transformer/text_pieces.hpp"

namespace transformer {

/// What a tokenizer consists of, whichever files it was read from.
struct TokenizerTables {
  std::string name;                      ///< of the file of the vocabulary, for messages
  std::vector<std::string> token_bytes;  ///< by id
  Alphabet alphabet;
  MergeTable merges;
  MergeOrder merge_order = MergeOrder::rank_by_rank;
  /// Pieces that are one token whatever the merges say.
  std::unordered_map<std::string, std::int32_t> whole_pieces;
  /// Each cuts the pieces of the one before it; without any, a text is one piece.
  std::vector<PiecePattern> patterns;
  std::optional<BlankMarks> blanks;
  std::vector<std::int32_t> start;  ///< tokens before the first one of a document
  std::optional<std::int32_t> end_of_text;
};

}  // namespace transformer
