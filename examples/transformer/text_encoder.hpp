#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "transformer/tokenizer_tables.hpp"

namespace transformer {

/// A text as token ids.
struct Encoded {
  std::vector<std::int32_t> ids;
  /// Bytes that belong to no valid UTF-8 sequence; each of them became a token of its own.
  std::size_t invalid_bytes = 0;
};

/// Encodes one text.
class TextEncoder {
 public:
  /// @param tables outlive the encoder
  explicit TextEncoder(const TokenizerTables& tables);

  /// @param text with its blanks marked, if the tables ask for it; outlives the encoder
  Encoded encode(std::string_view text);

 private:
  /// Cuts valid UTF-8 by the patterns from `pattern` on.
  void cut(std::string_view text, std::size_t pattern);
  void append(std::string_view piece);

  const TokenizerTables& tables_;
  PieceMerger merger_;
  MatchData match_;
  Encoded encoded_;
  /// A piece that came before is copied from where its ids stand: first id and end.
  std::unordered_map<std::string_view, std::pair<std::size_t, std::size_t>> earlier_;
};

}  // namespace transformer
