#include "transformer/text_pieces.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include <nash_swarm/core/error.hpp>

#include "transformer/piece_regex.hpp"
#include "transformer/vocabulary.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(code, message.data(), message.size());
  return "PCRE2: " + std::string(message.begin(), std::ranges::find(message, 0));
}

}  // namespace

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

MatchData make_match_data() {
  return MatchData(pcre2_match_data_create(1, nullptr));
}

PiecePattern::PiecePattern(std::string_view regex, const std::string& file) {
  const std::string pattern = pcre2_of_oniguruma(regex, file);
  int error = 0;
  PCRE2_SIZE place = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), PCRE2_UTF,
                            &error, &place, nullptr));
  if (!code_) {
    throw Error(file, "pattern " + in_quotes(regex) + ": " + pcre2_message(error),
                "correct it, or check the installed PCRE2 (10.30 or newer, with Unicode support)");
  }
  std::uint32_t matches_nothing = 0;
  pcre2_pattern_info(code_.get(), PCRE2_INFO_MATCHEMPTY, &matches_nothing);
  if (matches_nothing != 0) {
    throw Error(file, "pattern " + in_quotes(regex) + " matches an empty text",
                "use a model whose pattern is of GPT-2's or LLaMA 3's kind");
  }
  // Where the system allows no code at run time, the interpreter gives the same matches.
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
}

std::size_t PiecePattern::piece_end(std::string_view text, std::size_t begin,
                                    pcre2_match_data* match) const {
  const int result = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                 text.size(), begin, PCRE2_NO_UTF_CHECK, match, nullptr);
  if (result == PCRE2_ERROR_NOMATCH) return text.size();
  if (result < 0) {
    throw Error("tokenizer", pcre2_message(result),
                "cut the text into shorter lines, or use a model with a simpler pattern");
  }
  const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(match);
  return ends[0] == begin ? ends[1] : ends[0];
}

}  // namespace transformer
