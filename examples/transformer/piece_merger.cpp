#include "transformer/piece_merger.hpp"

#include "transformer/text_pieces.hpp"

namespace transformer {

void PieceMerger::append(std::string_view piece, std::vector<std::int32_t>& ids) {
  start(piece);
  while (!queue_.empty()) {
    const std::size_t rank = queue_.top().rank;
    do {
      merge_first();
    } while (order_ == MergeOrder::rank_by_rank && !queue_.empty() && queue_.top().rank == rank);
    queue_proposals();
  }
  for (std::size_t i = 0; i < symbols_.size(); i = symbols_[i].next) ids.push_back(symbols_[i].id);
}

void PieceMerger::start(std::string_view piece) {
  symbols_.clear();
  while (!piece.empty()) {
    const std::size_t length = alphabet_.characters.empty() ? 1 : sequence_length(piece);
    add_character(piece.substr(0, length));
    piece.remove_prefix(length);
  }
  if (!symbols_.empty()) symbols_.back().next = none;
  for (std::size_t i = 0; i < symbols_.size(); ++i) propose(i);
  queue_proposals();
}

void PieceMerger::add_symbol(std::int32_t id) {
  const std::size_t position = symbols_.size();
  symbols_.push_back({id, position == 0 ? none : position - 1, position + 1});
}

void PieceMerger::add_character(std::string_view character) {
  if (!alphabet_.characters.empty()) {
    const auto found = alphabet_.characters.find(std::string(character));
    if (found != alphabet_.characters.end()) return add_symbol(found->second);
  }
  for (const char byte : character) {
    add_symbol(alphabet_.byte_ids[static_cast<unsigned char>(byte)]);
  }
}

void PieceMerger::merge_first() {
  const Candidate first = queue_.top();
  queue_.pop();
  const Merge& merge = merges_[first.rank];
  Symbol& left = symbols_[first.position];
  if (left.id != merge.left || left.next == none) return;
  Symbol& right = symbols_[left.next];
  if (right.id != merge.right) return;
  left.id = merge.product;
  left.next = right.next;
  right.id = merged_away;
  if (left.next != none) symbols_[left.next].previous = first.position;
  if (left.previous != none) propose(left.previous);
  propose(first.position);
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
