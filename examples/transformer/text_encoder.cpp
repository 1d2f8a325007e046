#include "transformer/text_encoder.hpp"

#include <string>

namespace transformer {

TextEncoder::TextEncoder(const TokenizerTables& tables)
    : tables_(tables),
      merger_(tables.alphabet, tables.merges, tables.merge_order),
      match_(make_match_data()) {}

Encoded TextEncoder::encode(std::string_view text) {
  while (!text.empty()) {
    const std::string_view valid = text.substr(0, valid_prefix_length(text));
    cut(valid, 0);
    text.remove_prefix(valid.size());
    if (text.empty()) break;
    encoded_.ids.push_back(tables_.alphabet.byte_ids[static_cast<unsigned char>(text.front())]);
    ++encoded_.invalid_bytes;
    text.remove_prefix(1);
  }
  return std::move(encoded_);
}

void TextEncoder::cut(std::string_view text, std::size_t pattern) {
  if (pattern == tables_.patterns.size()) return append(text);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = tables_.patterns[pattern].piece_end(text, begin, match_.get());
    cut(text.substr(begin, end - begin), pattern + 1);
    begin = end;
  }
}

void TextEncoder::append(std::string_view piece) {
  std::vector<std::int32_t>& ids = encoded_.ids;
  const std::size_t first = ids.size();
  if (const auto found = earlier_.find(piece); found != earlier_.end()) {
    for (std::size_t i = found->second.first; i < found->second.second; ++i) ids.push_back(ids[i]);
    return;
  }
  const auto whole = tables_.whole_pieces.empty() ? tables_.whole_pieces.end()
                                                  : tables_.whole_pieces.find(std::string(piece));
  if (whole != tables_.whole_pieces.end()) {
    ids.push_back(whole->second);
  } else {
    merger_.append(piece, ids);
  }
  earlier_.emplace(piece, std::pair{first, ids.size()});
}

}  // namespace transformer
