#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

// Of PCRE2, whose header the users of this one need not have.
struct pcre2_real_code_8;
struct pcre2_real_match_data_8;

namespace transformer {

/// Bytes at the start of `text` that are valid UTF-8.
std::size_t valid_prefix_length(std::string_view text);

struct FreePcre2 {
  void operator()(pcre2_real_code_8* code) const;
  void operator()(pcre2_real_match_data_8* match) const;
};
using MatchData = std::unique_ptr<pcre2_real_match_data_8, FreePcre2>;

/// GPT-2's pattern: contractions, words, numbers, other signs (each with a blank before it if there
/// is one), and white space, of which the last character stays with the word that follows.
class PiecePattern {
 public:
  /// @throws nash_swarm::Error if the installed PCRE2 cannot handle the pattern
  PiecePattern();

  /// What one thread needs for `piece_end`.
  MatchData make_match_data() const;

  /// End of the piece of `text`, valid UTF-8, that starts at `begin`.
  std::size_t piece_end(std::string_view text, std::size_t begin,
                        pcre2_real_match_data_8* match) const;

 private:
  std::unique_ptr<pcre2_real_code_8, FreePcre2> code_;
};

}  // namespace transformer
