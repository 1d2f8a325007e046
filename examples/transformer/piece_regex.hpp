#pragma once

#include <string>
#include <string_view>

namespace transformer {

/// GPT-2's pattern: contractions, words, numbers, other signs (each with a blank before it if there
/// is one), and white space, of which the last character stays with the word that follows. (A
/// possessive ++ matches what + would, since nothing follows it in its alternative.)
inline constexpr std::string_view gpt2_pieces =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s+(?!\S)|\s++)";

/// Writes for PCRE2 what a regular expression means to Oniguruma, which reads those of a
/// tokenizer.json: \s is Unicode's White_Space, \d its Nd. Only what means the same to both, or can
/// be written so, is let through: literals, alternatives, groups, (?=, (?!, (?<=, (?<!, (?i: around
/// letters, repetitions, sets without sets inside, \s, \S, \d, \r, \n, \t, \p and \P of the general
/// categories, and signs after a backslash.
/// @param file names the regular expression's file in messages
/// @throws nash_swarm::Error naming what is not let through
std::string pcre2_of_oniguruma(std::string_view regex, const std::string& file);

}  // namespace transformer
