#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

// Of PCRE2, whose header the users of this one need not have.
struct pcre2_real_code_8;
struct pcre2_real_match_data_8;

namespace transformer {

/// Length in bytes of the UTF-8 sequence at the start of a text that is not empty; 0 if it is
/// invalid (Unicode 15.0, table 3-7: overlong forms, surrogates and values above U+10FFFF are).
std::size_t sequence_length(std::string_view text);

/// Bytes at the start of `text` that are valid UTF-8.
std::size_t valid_prefix_length(std::string_view text);

struct FreePcre2 {
  void operator()(pcre2_real_code_8* code) const;
  void operator()(pcre2_real_match_data_8* match) const;
};
using MatchData = std::unique_ptr<pcre2_real_match_data_8, FreePcre2>;

/// What one thread needs to look for pieces, of any pattern.
MatchData make_match_data();

/// Cuts a text into pieces: the matches of a regular expression, and what lies between them.
class PiecePattern {
 public:
  /// @param regex as `pcre2_of_oniguruma` takes it
  /// @param file names its file in messages
  /// @throws nash_swarm::Error if it is not let through or matches an empty text, or if the
  /// installed PCRE2 cannot handle it
  PiecePattern(std::string_view regex, const std::string& file);

  /// End of the piece of `text`, valid UTF-8, that starts at `begin`, before the text's end.
  /// @throws nash_swarm::Error if it takes too long to find
  std::size_t piece_end(std::string_view text, std::size_t begin,
                        pcre2_real_match_data_8* match) const;

 private:
  std::unique_ptr<pcre2_real_code_8, FreePcre2> code_;
};

}  // namespace transformer
