#include "transformer/byte_pair_merges.hpp"

#include <algorithm>

#include <nash_swarm/core/error.hpp>

namespace transformer {
namespace {

using nash_swarm::Error;

Merge parse_merge(std::string_view line, const TokenIds& ids, const std::string& file,
                  const std::string& place) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank + 1 == line.size() ||
      line.find(' ', blank + 1) != std::string_view::npos) {
    throw Error(file, place + in_quotes(line) + " is not two tokens with one blank between",
                download_again);
  }
  const auto id_of = [&](const std::string& token) {
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw Error(file,
                  place + "token " + in_quotes(token) + " of " + in_quotes(line) +
                      " is not in the vocabulary",
                  "pass the merges.txt and the vocab.json of the same model");
    }
    return found->second;
  };
  const std::string left(line.substr(0, blank));
  const std::string right(line.substr(blank + 1));
  return {id_of(left), id_of(right), id_of(left + right)};
}

}  // namespace

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

void PieceMerger::append(std::string_view piece, std::vector<std::int32_t>& ids) {
  start(piece);
  while (!queue_.empty()) merge_lowest_rank();
  for (std::size_t i = 0; i < symbols_.size(); i = symbols_[i].next) ids.push_back(symbols_[i].id);
}

void PieceMerger::start(std::string_view piece) {
  symbols_.clear();
  for (std::size_t i = 0; i < piece.size(); ++i) {
    const std::int32_t id = byte_ids_[static_cast<unsigned char>(piece[i])];
    symbols_.push_back({id, i == 0 ? none : i - 1, i + 1 == piece.size() ? none : i + 1});
  }
  for (std::size_t i = 0; i < piece.size(); ++i) propose(i);
  queue_proposals();
}

void PieceMerger::merge_lowest_rank() {
  const std::size_t rank = queue_.top().rank;
  const Merge& merge = merges_[rank];
  while (!queue_.empty() && queue_.top().rank == rank) {
    const std::size_t position = queue_.top().position;
    queue_.pop();
    Symbol& left = symbols_[position];
    if (left.id != merge.left || left.next == none) continue;
    Symbol& right = symbols_[left.next];
    if (right.id != merge.right) continue;
    left.id = merge.product;
    left.next = right.next;
    right.id = merged_away;
    if (left.next != none) symbols_[left.next].previous = position;
    if (left.previous != none) propose(left.previous);
    propose(position);
  }
  queue_proposals();
}

void PieceMerger::propose(std::size_t position) {
  const Symbol& left = symbols_[position];
  if (left.next == none) return;
  const auto rank = merges_.rank(left.id, symbols_[left.next].id);
  if (rank) proposals_.push_back({*rank, position});
}

void PieceMerger::queue_proposals() {
  for (const Candidate& candidate : proposals_) queue_.push(candidate);
  proposals_.clear();
}

}  // namespace transformer
