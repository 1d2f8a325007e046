#include "transformer/text_pieces.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <string>

#include <nash_swarm/core/error.hpp>

namespace transformer {
namespace {

/// Length in bytes of the UTF-8 sequence at the start of a text that is not empty; 0 if it is
/// invalid (Unicode 15.0, table 3-7: overlong forms, surrogates and values above U+10FFFF are).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (length == 0 || lead > 0xf4 || text.size() < length) return 0;
  const unsigned char lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < lowest || byte(1) > highest) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

[[noreturn]] void throw_pcre2_error(int code) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(code, message.data(), message.size());
  throw nash_swarm::Error(
      "tokenizer", "PCRE2: " + std::string(message.begin(), std::ranges::find(message, 0)),
      "check the installed PCRE2 library (10.30 or newer, with Unicode support)");
}

}  // namespace

std::size_t valid_prefix_length(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size()) {
    const std::size_t length = sequence_length(text.substr(end));
    if (length == 0) break;
    end += length;
  }
  return end;
}

void FreePcre2::operator()(pcre2_code* code) const {
  pcre2_code_free(code);
}

void FreePcre2::operator()(pcre2_match_data* match) const {
  pcre2_match_data_free(match);
}

PiecePattern::PiecePattern() {
  // White_Space as Unicode defines it: PCRE's \s in UTF mode knows only the ASCII part.
  const std::string space =
      R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
      R"(\x{202f}\x{205f}\x{3000})";
  // A possessive ++ matches what + would, since nothing follows it in its alternative.
  const std::string pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}++| ?\p{N}++| ?[^)" + space +
                              R"(\p{L}\p{N}]++|[)" + space + "]+(?![^" + space + "])|[" + space +
                              "]++";
  int error = 0;
  PCRE2_SIZE place = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                            PCRE2_UTF | PCRE2_ANCHORED, &error, &place, nullptr));
  if (!code_) throw_pcre2_error(error);
  // Where the system allows no code at run time, the interpreter gives the same matches.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

MatchData PiecePattern::make_match_data() const {
  return MatchData(pcre2_match_data_create(1, nullptr));
}

std::size_t PiecePattern::piece_end(std::string_view text, std::size_t begin,
                                    pcre2_match_data* match) const {
  const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), begin, PCRE2_NO_UTF_CHECK, match, nullptr);
  if (result < 0) throw_pcre2_error(result);
  return pcre2_get_ovector_pointer(match)[1];
}

}  // namespace transformer
