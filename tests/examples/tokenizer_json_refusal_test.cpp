#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>

#include "examples/tokenizer_json_support.hpp"
#include "io/support.hpp"
#include "transformer/piece_regex.hpp"

namespace {

using nash_swarm::test::byte_level_step;
using nash_swarm::test::llama3_pattern;
using nash_swarm::test::split_step;
using nash_swarm::test::steps_with_byte_level;
using JsonChange = std::function<void(nlohmann::json&)>;

nlohmann::json good_byte_level() {
  return nash_swarm::test::byte_level_json(byte_level_step(true));
}
nlohmann::json good_marked() {
  return nash_swarm::test::marked_json(nash_swarm::test::marking_normalizer(), nullptr);
}

/// The message, with its remedy checked to be there; empty for a text that is read.
std::string refusal_of(const std::string& text) {
  try {
    transformer::Tokenizer::from_json(text, "tokenizer.json");
  } catch (const nash_swarm::Error& error) {
    CHECK(error.subject() == "tokenizer.json");
    CHECK_FALSE(error.remedy().empty());
    return error.what();
  }
  return "";
}

void check_refused(nlohmann::json json, const JsonChange& change, const std::string& part) {
  change(json);
  const std::string message = refusal_of(json.dump());
  CAPTURE(message);
  CAPTURE(part);
  CHECK(message.find(part) != std::string::npos);
}

/// A step with nothing but its name.
nlohmann::json named_step(const std::string& type) {
  return {{"type", type}};
}

/// What becomes of a regular expression; the message, if it is refused.
std::string translated(const std::string& regex) {
  try {
    return transformer::pcre2_of_oniguruma(regex, "file");
  } catch (const nash_swarm::Error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("tokenizer.json: what is not known is refused by name") {
  CHECK(refusal_of(good_byte_level().dump()).empty());
  CHECK(refusal_of(good_marked().dump()).empty());
  const auto bytes = [](const JsonChange& change, const std::string& part) {
    check_refused(good_byte_level(), change, part);
  };
  const auto marked = [](const JsonChange& change, const std::string& part) {
    check_refused(good_marked(), change, part);
  };
  for (const char* type : {"WordPiece", "Unigram", "WordLevel"}) {
    bytes([&](auto& json) { json["model"]["type"] = type; },
          "model type '" + std::string(type) + "' is not known here");
  }
  bytes([](auto& json) { json["normalizer"] = named_step("NFC"); },
        "normalizer 'NFC' is not known");
  bytes([](auto& json) { json["normalizer"] = nash_swarm::test::replace_step(" ", "_"); },
        "normalizer content '_' is not known");
  bytes([](auto& json) { json["normalizer"] = nash_swarm::test::marking_normalizer(); },
        "has marks for blanks beside ByteLevel");
  bytes([](auto& json) { json["pre_tokenizer"] = nullptr; },
        "has neither ByteLevel nor marks for blanks");
  bytes([](auto& json) { json["pre_tokenizer"] = named_step("Whitespace"); },
        "pre_tokenizer 'Whitespace' is not known");
  bytes([](auto& json) { json["pre_tokenizer"]["add_prefix_space"] = true; },
        "pre_tokenizer add_prefix_space true is not known");
  bytes([](auto& json) { json["pre_tokenizer"]["new_option"] = 1; }, "'new_option' is not known");
  bytes(
      [](auto& json) {
        json["pre_tokenizer"] = steps_with_byte_level(byte_level_step(true), false);
      },
      "ByteLevel with another step after it");
  bytes(
      [](auto& json) {
        nlohmann::json split = split_step("a");
        split["behavior"] = "Removed";
        json["pre_tokenizer"] = steps_with_byte_level(split, false);
      },
      "behavior 'Removed' is not known");
  bytes(
      [](auto& json) {
        nlohmann::json split = split_step("a");
        split["invert"] = true;
        json["pre_tokenizer"] = steps_with_byte_level(split, false);
      },
      "invert true is not known");
  bytes(
      [](auto& json) {
        nlohmann::json split = split_step("a");
        split["pattern"].clear();
        split["pattern"]["String"] = "a";
        json["pre_tokenizer"] = steps_with_byte_level(split, false);
      },
      "'String' is not known");
  bytes([](auto& json) { json["decoder"] = named_step("WordPiece"); }, "decoder 'WordPiece'");
  bytes([](auto& json) { json["decoder"] = nullptr; }, "has no decoder ByteLevel");
  bytes([](auto& json) { json["post_processor"] = named_step("RobertaProcessing"); },
        "post_processor 'RobertaProcessing' is not known");
  bytes(
      [](auto& json) {
        json["post_processor"] = nash_swarm::test::start_template("A", 65);
        json["post_processor"]["single"].push_back(json["post_processor"]["single"][0]);
      },
      "with a token after the text");
  bytes([](auto& json) { json["post_processor"] = nash_swarm::test::start_template("A", 264); },
        "post_processor gives the id 264");
  bytes([](auto& json) { json["model"]["dropout"] = 0.1; }, "model dropout 0.1 is not known");
  bytes([](auto& json) { json["model"]["continuing_subword_prefix"] = "##"; },
        "continuing_subword_prefix '##' is not known");
  bytes([](auto& json) { json["model"]["end_of_word_suffix"] = "</w>"; },
        "end_of_word_suffix '</w>' is not known");
  bytes([](auto& json) { json["model"]["other"] = 1; }, "model 'other' is not known");
  bytes([](auto& json) { json["version"] = "2.0"; }, "version '2.0' is not known");
  bytes([](auto& json) { json["other"] = 1; }, "'other' is not known");
  bytes(
      [](auto& json) {
        json["added_tokens"] = nlohmann::json::array({nash_swarm::test::added_token("ö", 264)});
        json["added_tokens"][0]["special"] = false;
      },
      "added_tokens \"ö\", which is not special, is not known here");
  marked([](auto& json) { json["model"]["byte_fallback"] = false; },
         "model byte_fallback false is not known");
  marked([](auto& json) { json["normalizer"]["normalizers"].erase(1); },
         "normalizer Prepend without Replace");
  marked(
      [](auto& json) { json["pre_tokenizer"] = nash_swarm::test::metaspace_step("first", true); },
      "pre_tokenizer 'Metaspace' is not known");
  marked(
      [](auto& json) {
        json["normalizer"] = nullptr;
        json["pre_tokenizer"] = nash_swarm::test::metaspace_step("never", true);
        json["pre_tokenizer"]["add_prefix_space"] = true;
      },
      "contradicts itself");
  marked(
      [](auto& json) {
        const nlohmann::json digits = {{"type", "Digits"}, {"individual_digits", true}};
        json["normalizer"] = nullptr;
        json["pre_tokenizer"] = steps_with_byte_level(digits, true);
        json["pre_tokenizer"]["pretokenizers"][1] = nash_swarm::test::metaspace_step("first", true);
      },
      "pre_tokenizer 'Metaspace' is not known");
  marked([](auto& json) { json["decoder"] = named_step("Metaspace"); }, "decoder 'Metaspace'");
  marked([](auto& json) { json["decoder"]["decoders"].erase(1); }, "decoder 'Fuse' is not known");
  marked([](auto& json) { json["decoder"]["decoders"][3]["stop"] = 1; }, "stop 1 is not known");
}

TEST_CASE("tokenizer.json: a damaged file is refused with the place") {
  const auto bytes = [](const JsonChange& change, const std::string& part) {
    check_refused(good_byte_level(), change, part);
  };
  CHECK(refusal_of("{").find("not valid JSON at byte") != std::string::npos);
  CHECK(refusal_of("[]").find("is not a JSON object") != std::string::npos);
  CHECK(refusal_of("{}").find("model is not a JSON object") != std::string::npos);
  CHECK(refusal_of(R"({"model": {"type": "BPE", "vocab": {"a": 0, "a": 1}}})")
            .find("'a' occurs twice") != std::string::npos);
  const std::size_t deep = 100000;
  CHECK_FALSE(refusal_of("{\"normalizer\":" + std::string(deep, '[') + std::string(deep, ']') + "}")
                  .empty());
  bytes([](auto& json) { json["model"]["vocab"]["12"] = "256"; },
        "model vocab: the id of \"12\" is not a whole number");
  bytes([](auto& json) { json["model"]["vocab"]["12"] = 264; },
        "token \"12\": id 264 in a vocabulary of 264 tokens");
  bytes([](auto& json) { json["model"]["vocab"]["12"] = 5; }, "have the same id 5");
  bytes([](auto& json) { json["model"]["vocab"]["日"] = 264; }, "stands for no byte");
  bytes(
      [](auto& json) {
        json["model"]["vocab"].erase("A");
        json["model"]["vocab"]["AA"] = 65;
      },
      "no token \"A\" for byte 65");
  check_refused(
      good_marked(),
      [](auto& json) {
        json["model"]["vocab"].erase("<0x41>");
        json["model"]["vocab"]["AA"] = 68;
      },
      "no token \"<0x41>\" for byte 65");
  bytes([](auto& json) { json["model"]["merges"][1] = "p  q"; },
        "merge 2: \"p  q\" is not two tokens");
  bytes(
      [](auto& json) {
        json["model"]["merges"][1] = {"p", "q", "r"};
      },
      "merge 2: is not two tokens");
  bytes(
      [](auto& json) {
        json["model"]["merges"][1] = {"q", "q"};
      },
      "merge 2: token \"qq\" of \"q q\" is not in the vocabulary");
  bytes(
      [](auto& json) {
        json["model"]["merges"].push_back({"p", "q"});
      },
      "merge 8: is listed twice");
  bytes(
      [](auto& json) {
        json["added_tokens"] = nlohmann::json::array({nash_swarm::test::added_token("12", 264)});
      },
      "gives \"12\" one id in vocab and another in added_tokens");
  bytes(
      [](auto& json) {
        json["added_tokens"] = nlohmann::json::array({nash_swarm::test::added_token("<s>", 265)});
      },
      "token \"<s>\": id 265 in a vocabulary of 265 tokens");
  bytes([](auto& json) { json["pre_tokenizer"] = steps_with_byte_level(split_step("(a"), false); },
        "pattern \"(a\": PCRE2: ");
  bytes([](auto& json) { json["pre_tokenizer"] = steps_with_byte_level(split_step("a*"), false); },
        "pattern \"a*\" matches an empty text");
}

TEST_CASE("tokenizer.json: a pattern that means other things to Oniguruma is refused") {
  const std::string space =
      R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029})"
      R"(\x{202f}\x{205f}\x{3000})";
  CHECK(translated(R"(\s+(?!\S)|[^\s\p{L}\d-]{1,3})") ==
        "[" + space + "]+(?![^" + space + "])|[^" + space + R"(\p{L}\p{Nd}-]{1,3})");
  CHECK(translated(R"((?i:'s|'LL)|[\r\n\-a-z]?+(?:\.|日)*?(?<=a))") ==
        R"((?i:'s|'LL)|[\r\n\-a-z]?+(?:\.|日)*?(?<=a))");
  for (const std::string regex :
       {R"(\w)",   R"(\h)",      R"(\b)",     R"(\R)",     R"(\1)",        R"(\Q)",
        R"([\S])", R"(\p{Han})", R"(\p{^L})", R"(\pL)",    R"(\p{L)",      R"(\p{Lu)",
        R"(\p)",   R"(\)",       ".",         "^a",        "a$",           "[[:alpha:]]",
        "[a&&b]",  "[a",         "[]",        "[]a]",      R"([\s-z])",    R"([\t-\d])",
        "(?x: a)", "(?i)a",      "(?i:ss)",   "(?i:'aFi)", "(?i:\\p{Lu})", "(?i:a",
        "(?>a)",   "(?<n>a)",    "(*UCP)a",   "a{,3}",     "a{12",         "a{2}+",
        "a{2,3}?", "a{",         "a{1,2,3}"}) {
    CAPTURE(regex);
    const std::string message = translated(regex);
    CAPTURE(message);
    CHECK(message.starts_with("file: a pattern with "));
    CHECK(message.find(" is not known here; use ") != std::string::npos);
  }
}
