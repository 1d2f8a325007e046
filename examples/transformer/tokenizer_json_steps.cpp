#include "transformer/tokenizer_json_steps.hpp"

#include <array>
#include <cstddef>
#include <limits>
#include <string_view>

#include "transformer/piece_regex.hpp"

namespace transformer {
namespace {

using Json = nlohmann::json;
using Part = TokenizerJsonPart;

Json literal(std::string_view text) {
  return Json::object({{"String", std::string(text)}});
}

class StepReader {
 public:
  StepReader(const Part& whole, const std::string& file) : whole_(whole), file_(file) {}

  TokenizerJsonSteps read() {
    read_normalizer();
    for (const Part& part : whole_.steps("pre_tokenizer", "pretokenizers")) add_cut(part);
    if (steps_.byte_level == steps_.blanks.has_value()) {
      whole_.refuse(steps_.byte_level
                        ? "has marks for blanks beside ByteLevel, which is not known here"
                        : "has neither ByteLevel nor marks for blanks");
    }
    steps_.byte_level ? check_byte_decoder() : read_marks_decoder();
    for (const Part& part : whole_.steps("post_processor", "processors")) add_after(part);
    return std::move(steps_);
  }

 private:
  /// Prepend and Replace, each at most once; their order makes no difference.
  void read_normalizer() {
    bool prefix = false;
    for (const Part& part : whole_.steps("normalizer", "normalizers")) {
      if (part.type() == "Prepend" && !prefix) {
        part.allow({"type", "prepend"});
        part.require("prepend", {std::string(blank_mark)});
        prefix = true;
      } else if (part.type() == "Replace" && !steps_.blanks) {
        part.allow({"type", "pattern", "content"});
        part.require("pattern", {literal(" ")});
        part.require("content", {std::string(blank_mark)});
        steps_.blanks.emplace();
      } else {
        part.refuse_type();
      }
    }
    if (!prefix) return;
    if (!steps_.blanks) whole_.refuse("normalizer Prepend without Replace is not known here");
    steps_.blanks->first = BlankMarks::First::always;
  }

  void add_cut(const Part& part) {
    const std::string& type = part.type();
    if (steps_.byte_level) part.refuse("ByteLevel with another step after it is not known here");
    if (type == "ByteLevel") {
      add_byte_level(part);
    } else if (type == "Split") {
      add_split(part);
    } else if (type == "Digits") {
      part.allow({"type", "individual_digits"});
      add_pattern(part.flag_or("individual_digits", false) ? R"(\p{N})" : R"(\p{N}++)");
    } else if (type == "Metaspace" && !steps_.blanks && steps_.patterns.empty()) {
      add_metaspace(part);
    } else {
      part.refuse_type();
    }
  }

  void add_byte_level(const Part& part) {
    allow_byte_level_keys(part);
    part.require("add_prefix_space", {false});
    if (part.flag_or("use_regex", true)) add_pattern(gpt2_pieces);
    steps_.byte_level = true;
  }

  void add_split(const Part& part) {
    part.allow({"type", "pattern", "behavior", "invert"});
    part.require("behavior", {"Isolated"});
    part.require("invert", {nullptr, false});
    const Part pattern = part.part("pattern");
    pattern.allow({"Regex"});
    add_pattern(pattern.text("Regex"));
  }

  void add_metaspace(const Part& part) {
    part.allow({"type", "replacement", "prepend_scheme", "add_prefix_space", "str_rep", "split"});
    part.require("replacement", {std::string(blank_mark)});
    part.require("str_rep", {nullptr, std::string(blank_mark)});
    part.require("prepend_scheme", {nullptr, "always", "first", "never"});
    const bool prefix = part.has("prepend_scheme") ? part.at("prepend_scheme") != "never"
                                                   : part.flag_or("add_prefix_space", true);
    if (part.flag_or("add_prefix_space", prefix) != prefix) {
      part.refuse("Metaspace contradicts itself about a blank before the text");
    }
    steps_.blanks.emplace();
    if (prefix) steps_.blanks->first = BlankMarks::First::unless_there;
    // Every mark starts a piece.
    if (part.flag_or("split", true)) add_pattern("\u2581[^\u2581]*+|[^\u2581]++");
  }

  void check_byte_decoder() const {
    const std::vector<Part> parts = whole_.steps("decoder", "decoders");
    if (parts.empty()) whole_.refuse("has no decoder ByteLevel");
    for (const Part& part : parts) {
      if (part.type() != "ByteLevel") part.refuse_type();
      allow_byte_level_keys(part);
    }
  }

  /// Replace, ByteFallback, Fuse and maybe Strip, in this order.
  void read_marks_decoder() {
    constexpr auto order =
        std::to_array<std::string_view>({"Replace", "ByteFallback", "Fuse", "Strip"});
    const std::vector<Part> parts = whole_.steps("decoder", "decoders");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i == order.size() || parts[i].type() != order[i]) parts[i].refuse_type();
    }
    if (parts.size() < 3) whole_.refuse("has no decoder " + std::string(order[parts.size()]));
    parts[0].allow({"type", "pattern", "content"});
    parts[0].require("pattern", {literal(blank_mark)});
    parts[0].require("content", {" "});
    if (parts.size() == 3) return;
    parts[3].allow({"type", "content", "start", "stop"});
    parts[3].require("content", {" "});
    parts[3].require("stop", {0});
    steps_.blanks->taken_off = parts[3].number("start");
  }

  void add_after(const Part& part) {
    if (part.type() == "ByteLevel") return allow_byte_level_keys(part);
    if (part.type() != "TemplateProcessing" || !steps_.start.empty()) part.refuse_type();
    part.allow({"type", "single", "pair", "special_tokens"});
    bool text = false;
    for (const Json& entry : part.list("single")) {
      const Part piece(entry, file_, "post_processor, single");
      if (text) part.refuse("TemplateProcessing with a token after the text is not known here");
      text = piece.has("Sequence");
      if (!text) add_start(piece.part("SpecialToken").text("id"), part.part("special_tokens"));
    }
    if (!text) part.refuse_damaged("TemplateProcessing has no text");
  }

  void add_start(const std::string& token, const Part& special_tokens) {
    for (const Json& id : special_tokens.part(token.c_str()).list("ids")) {
      constexpr std::uint64_t largest = std::numeric_limits<std::int32_t>::max();
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > largest) {
        special_tokens.refuse_damaged("has an id that is none");
      }
      steps_.start.push_back(id.get<std::int32_t>());
    }
  }

  /// Keys that say how a text is cut, or what is said of places in it.
  static void allow_byte_level_keys(const Part& part) {
    part.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  }

  void add_pattern(std::string_view regex) { steps_.patterns.emplace_back(regex, file_); }

  const Part& whole_;
  const std::string& file_;
  TokenizerJsonSteps steps_;
};

}  // namespace

TokenizerJsonSteps read_tokenizer_steps(const TokenizerJsonPart& whole, const std::string& file) {
  return StepReader(whole, file).read();
}

}  // namespace transformer
