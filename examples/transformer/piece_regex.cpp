#include "transformer/piece_regex.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include <nash_swarm/core/error.hpp>

#include "transformer/vocabulary.hpp"

namespace transformer {
namespace {

/// White_Space as Unicode defines it, inside a set.
constexpr std::string_view white_space =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
    R"(\x{202f}\x{205f}\x{3000})";

constexpr auto general_categories = std::to_array<std::string_view>(
    {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N",  "Nd", "Nl", "No", "P", "Pc",
     "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp"});

/// Sequences of letters that are also one character, for Oniguruma alone, where case is ignored.
constexpr auto ligatures = std::to_array<std::string_view>({"ff", "fi", "fl", "ss", "st"});

constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
constexpr bool is_number(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_sign(char c) {
  return c > ' ' && c < 0x7f && !is_letter(c) && !is_number(c);
}

class RegexWriter {
 public:
  RegexWriter(std::string_view regex, const std::string& file) : left_(regex), file_(file) {}

  std::string write() {
    while (!left_.empty()) write_part();
    return std::move(written_);
  }

 private:
  void write_part() {
    switch (left_.front()) {
      case '\\':
        return write_escape(false);
      case '[':
        return write_set();
      case '(':
        return write_group_start();
      case '{':
        return write_interval();
      case '.':
      case '^':
      case '$':
        refuse(left_.substr(0, 1));
      default:
        copy(1);
    }
  }

  void write_escape(bool inside_set) {
    const char letter = left_.size() > 1 ? left_[1] : ' ';
    if (letter == 'p' || letter == 'P') return write_category();
    if (letter == 's' && inside_set) return replace(2, white_space);
    if (letter == 's') return replace(2, "[" + std::string(white_space) + "]");
    if (letter == 'S' && !inside_set) return replace(2, "[^" + std::string(white_space) + "]");
    if (letter == 'd') return replace(2, "\\p{Nd}");
    if (letter == 'r' || letter == 'n' || letter == 't' || is_sign(letter)) return copy(2);
    refuse(left_.substr(0, 2));
  }

  void write_category() {
    const std::size_t end = std::min(left_.find('}'), left_.size() - 1) + 1;
    const bool braces = end > 3 && left_[2] == '{' && left_[end - 1] == '}';
    if (!braces || std::ranges::count(general_categories, left_.substr(3, end - 4)) == 0) {
      refuse(left_.substr(0, end));
    }
    copy(end);
  }

  void write_set() {
    copy(left_.starts_with("[^") ? 2 : 1);
    if (left_.starts_with("]")) refuse("[]");
    while (!left_.starts_with("]")) {
      if (left_.empty()) refuse("[ without ]");
      if (left_.front() == '[' || left_.starts_with("&&")) refuse("a set inside a set");
      const bool whole_class = starts_class(left_);
      left_.front() == '\\' ? write_escape(true) : copy(1);
      const bool range = left_.starts_with("-") && !left_.starts_with("-]");
      if (range && (whole_class || starts_class(left_.substr(1)))) refuse("a range of classes");
    }
    copy(1);
  }

  static bool starts_class(std::string_view text) {
    constexpr std::string_view letters = "sSdpP";
    return text.size() > 1 && text[0] == '\\' && letters.find(text[1]) != std::string_view::npos;
  }

  void write_group_start() {
    if (left_.starts_with("(?i:")) return write_caseless_group();
    for (const std::string_view start : {"(?:", "(?=", "(?!", "(?<=", "(?<!"}) {
      if (left_.starts_with(start)) return copy(start.size());
    }
    if (left_.starts_with("(?") || left_.starts_with("(*")) refuse(left_.substr(0, 3));
    copy(1);
  }

  void write_caseless_group() {
    constexpr std::size_t start = 4;
    const std::string_view body = left_.substr(start, left_.find(')') - start);
    const bool simple = std::ranges::all_of(body, [](char c) {
      return is_letter(c) || std::string_view("'|[]").find(c) != std::string_view::npos;
    });
    std::string small(body);
    std::ranges::transform(small, small.begin(), lower_case);
    const bool folds = std::ranges::any_of(ligatures, [&](std::string_view ligature) {
      return small.find(ligature) != std::string::npos;
    });
    if (!simple || folds || left_.size() == start + body.size()) refuse("this group of (?i:");
    copy(start + body.size() + 1);
  }

  /// {2}, {2,} or {2,3}; not followed by + or ?, which mean other things to each.
  void write_interval() {
    const std::size_t end = std::min(left_.find('}'), left_.size() - 1) + 1;
    const std::string_view numbers = left_[end - 1] == '}' ? left_.substr(1, end - 2) : "";
    const std::size_t comma = std::min(numbers.find(','), numbers.size());
    const bool simple =
        comma != 0 &&
        std::ranges::all_of(numbers, [](char c) { return is_number(c) || c == ','; }) &&
        std::ranges::count(numbers, ',') <= 1;
    const bool more = end < left_.size() && (left_[end] == '+' || left_[end] == '?');
    if (!simple || more) refuse(left_.substr(0, more ? end + 1 : end));
    copy(end);
  }

  static char lower_case(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

  void copy(std::size_t length) { replace(length, left_.substr(0, length)); }
  void replace(std::size_t length, std::string_view text) {
    written_ += text;
    left_.remove_prefix(length);
  }

  [[noreturn]] void refuse(std::string_view what) const {
    throw nash_swarm::Error(file_, "a pattern with " + in_quotes(what) + " is not known here",
                            "use a model whose pattern is of GPT-2's or LLaMA 3's kind");
  }

  std::string_view left_;
  const std::string& file_;
  std::string written_;
};

}  // namespace

std::string pcre2_of_oniguruma(std::string_view regex, const std::string& file) {
  return RegexWriter(regex, file).write();
}

}  // namespace transformer
