#include "transformer/tokenizer_json.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "examples/bundled_model.hpp"
#include "examples/tokenizer_json_support.hpp"
#include "io/support.hpp"
#include "transformer/evaluation_text.hpp"

// The ids that are written down here are those of Hugging Face's tokenizers 0.23.2 for the same
// tokenizer.json, without special treatment of special tokens.

namespace {

using nash_swarm::test::byte_level_json;
using nash_swarm::test::byte_level_step;
using nash_swarm::test::llama3_pattern;
using nash_swarm::test::marked_json;
using nash_swarm::test::marking_normalizer;
using nash_swarm::test::metaspace_step;
using nash_swarm::test::split_step;
using nash_swarm::test::start_template;
using nash_swarm::test::steps_with_byte_level;
using nash_swarm::test::tokenizer_of;
using IdList = std::vector<std::int32_t>;

struct ExpectedIds {
  std::string text;
  IdList ids;
};

void check_ids(const transformer::Tokenizer& tokenizer, const std::vector<ExpectedIds>& cases) {
  for (const ExpectedIds& expected : cases) {
    CAPTURE(expected.text);
    CHECK(tokenizer.encode(expected.text).ids == expected.ids);
  }
}

/// The bundled vocabulary as a tokenizer.json.
nlohmann::json bundled_as_json(bool pairs) {
  const std::string text = nash_swarm::test::read_text(nash_swarm::test::bundled / "vocab.json");
  nlohmann::json merges = nlohmann::json::array();
  std::ifstream lines(nash_swarm::test::bundled / "merges.txt");
  std::string line;
  std::getline(lines, line);  // the version
  while (std::getline(lines, line)) {
    const std::size_t blank = line.find(' ');
    if (pairs) {
      merges.push_back({line.substr(0, blank), line.substr(blank + 1)});
    } else {
      merges.push_back(line);
    }
  }
  nlohmann::json json = nash_swarm::test::tokenizer_json(
      nash_swarm::test::bpe_model(nlohmann::json::parse(text), std::move(merges)),
      byte_level_step(true));
  json["pre_tokenizer"] = byte_level_step(true);
  return json;
}

}  // namespace

TEST_CASE("tokenizer.json: the bundled vocabulary gives the ids of vocab.json and merges.txt") {
  const transformer::Tokenizer expected = nash_swarm::test::bundled_checkpoint().make_tokenizer();
  const std::string text =
      nash_swarm::test::read_text(std::filesystem::path(NASH_SWARM_EXAMPLE_DATA) / "valid.txt")
          .substr(0, 200000);
  for (const bool pairs : {false, true}) {
    const transformer::Tokenizer tokenizer = tokenizer_of(bundled_as_json(pairs));
    CHECK(tokenizer.vocabulary_size() == 4096);
    CHECK(tokenizer.end_of_text() == 4095);
    for (const std::string& part :
         {text, std::string("<|endoftext|> I'LL\r\n  ünï 日本\xff 😀\t"), std::string()}) {
      CHECK(tokenizer.encode(part).ids == expected.encode(part).ids);
      CHECK(tokenizer.encode_document(part).ids == expected.encode(part).ids);
      CHECK(tokenizer.decode(tokenizer.encode(part).ids) == part);
    }
  }
}

TEST_CASE("tokenizer.json: the file's pattern cuts the text") {
  check_ids(tokenizer_of(byte_level_json(steps_with_byte_level(split_step(llama3_pattern), false))),
            {{"1234 a", {257, 52, 259}},
             {"I'S", {73, 261}},
             {"hello", {104, 101, 108, 108, 111}},
             {"12\u0663", {256, 217, 163}}});
  check_ids(tokenizer_of(byte_level_json(byte_level_step(true))),
            {{"1234 a", {258, 259}}, {"I'S", {73, 39, 83}}});
  // What lies between the matches is a piece as well.
  check_ids(tokenizer_of(byte_level_json(steps_with_byte_level(split_step("\\d"), false))),
            {{"q12pq a3pqp", {113, 49, 50, 262, 259, 51, 263}}, {"pq", {262}}});
  check_ids(tokenizer_of(byte_level_json(steps_with_byte_level(split_step("q"), false))),
            {{"pqp", {112, 113, 112}}});
}

TEST_CASE("tokenizer.json: Digits cut before GPT-2's pattern") {
  nlohmann::json digits = {{"type", "Digits"}, {"individual_digits", true}};
  check_ids(tokenizer_of(byte_level_json(steps_with_byte_level(digits, true))),
            {{"1234 a", {49, 50, 51, 52, 259}}, {"12\u0663", {49, 50, 217, 163}}});
  digits["individual_digits"] = false;
  check_ids(tokenizer_of(byte_level_json(steps_with_byte_level(digits, true))),
            {{"1234 a", {258, 259}}, {"12\u0663", {256, 217, 163}}});
}

TEST_CASE("tokenizer.json: the lowest rank of all pairs is merged first") {
  // GPT-2's own encoder merges both "p q" before it looks at "pq p".
  check_ids(tokenizer_of(byte_level_json(byte_level_step(true))), {{"pqpq", {263, 113}}});
}

TEST_CASE("tokenizer.json: ignore_merges takes a piece that is a token") {
  nlohmann::json json = byte_level_json(byte_level_step(true));
  json["model"]["ignore_merges"] = true;
  check_ids(tokenizer_of(json), {{"hello", {260}}, {" hello", {32, 104, 101, 108, 108, 111}}});
  json["model"]["ignore_merges"] = false;
  check_ids(tokenizer_of(json), {{"hello", {104, 101, 108, 108, 111}}});
}

TEST_CASE("tokenizer.json: blanks are marked and unknown characters become bytes") {
  const transformer::Tokenizer prepend = tokenizer_of(marked_json(marking_normalizer(), nullptr));
  check_ids(prepend, {{"hello world", {272, 274, 275, 262, 266}},
                      {"hello  world", {272, 273, 264, 275, 262, 266}},
                      {" hello", {259, 272}},
                      {"  hello", {273, 272}},
                      {"héllo", {259, 260, 267, 271}},
                      {"日\n", {259, 233, 154, 168, 13}},
                      {"▁hello", {259, 272}},
                      {"", {}},
                      {"o o", {259, 276, 263}}});
  CHECK(prepend.decode(IdList{272, 274, 275, 262, 266}) == "hello world");
  CHECK(prepend.decode(IdList{259, 272}) == " hello");
  CHECK(prepend.decode(IdList{259, 233, 154, 168, 13}) == "日\n");
  CHECK(prepend.bytes_of(272) == " hello");
  CHECK(prepend.bytes_of(233) == "\xe6");

  const nlohmann::json replace = nash_swarm::test::replace_step(" ", "▁");
  check_ids(
      tokenizer_of(marked_json(replace, nullptr)),
      {{"hello world", {269, 271, 274, 275, 262, 266}}, {" hello", {272}}, {"o o", {276, 263}}});
}

TEST_CASE("tokenizer.json: words are pieces only where no token reaches over their ends") {
  // With "o▁" a text is one piece; with a word in its place the same tokens come from words.
  nlohmann::json words = marked_json(marking_normalizer(), nullptr);
  words["model"]["vocab"].erase("o▁");
  words["model"]["vocab"]["unused"] = 276;
  words["model"]["merges"].erase(8);
  check_ids(tokenizer_of(words), {{"hello  world", {272, 273, 264, 275, 262, 266}},
                                  {"  hello ", {273, 272, 259}},
                                  {"o o", {259, 263, 259, 263}},
                                  {"▁▁▁he", {273, 259, 270}}});
  CHECK(transformer::has_mark_inside("o▁"));
  CHECK(transformer::has_mark_inside("▁o▁"));
  CHECK_FALSE(transformer::has_mark_inside("▁▁o"));
  CHECK_FALSE(transformer::has_mark_inside("▁▁"));
}

TEST_CASE("tokenizer.json: Metaspace marks as its scheme says, and may cut at marks") {
  for (const char* scheme : {"first", "always"}) {
    CAPTURE(scheme);
    check_ids(tokenizer_of(marked_json(nullptr, metaspace_step(scheme, false))),
              {{"hello  world", {272, 273, 264, 275, 262, 266}},
               {" hello", {272}},
               {"  hello", {259, 272}},
               {"▁hello", {272}},
               {"o o", {259, 276, 263}},
               {"", {}}});
    check_ids(tokenizer_of(marked_json(nullptr, metaspace_step(scheme, true))),
              {{"hello  world", {272, 259, 274, 275, 262, 266}},
               {"  hello", {259, 272}},
               {"o o", {259, 263, 259, 263}}});
  }
  check_ids(tokenizer_of(marked_json(nullptr, metaspace_step("never", false))),
            {{"hello  world", {269, 271, 273, 264, 275, 262, 266}}, {" hello", {272}}});
  check_ids(tokenizer_of(marked_json(nullptr, metaspace_step("never", true))),
            {{"hello world", {269, 271, 274, 275, 262, 266}}, {"o o", {263, 259, 263}}});
  nlohmann::json older = metaspace_step("always", true);
  older.erase("prepend_scheme");
  older["add_prefix_space"] = false;
  check_ids(tokenizer_of(marked_json(nullptr, older)), {{"heo", {269, 263}}});
  older["add_prefix_space"] = true;
  check_ids(tokenizer_of(marked_json(nullptr, older)), {{"heo", {270, 263}}});
}

TEST_CASE("tokenizer.json: each invalid byte is a token of its own among marks too") {
  const transformer::Tokenizer tokenizer = tokenizer_of(marked_json(marking_normalizer(), nullptr));
  const transformer::Encoded encoded = tokenizer.encode("\xffhe\xc3 \xe6\x97");
  CHECK(encoded.invalid_bytes == 4);
  CHECK(encoded.ids == IdList{259, 258, 269, 198, 259, 233, 154});
  CHECK(tokenizer.decode(encoded.ids) == "\xffhe\xc3 \xe6\x97");
}

TEST_CASE("tokenizer.json: a document starts with the token of the template") {
  nlohmann::json json = marked_json(marking_normalizer(), nullptr);
  json["added_tokens"] = {nash_swarm::test::added_token("<s>", 1),
                          nash_swarm::test::added_token("▁<pad>", 277)};
  json["post_processor"] = start_template("<s>", 1);
  const transformer::Tokenizer tokenizer = tokenizer_of(json);
  CHECK(tokenizer.vocabulary_size() == 278);
  CHECK_FALSE(tokenizer.end_of_text().has_value());
  CHECK(tokenizer.encode("hello").ids == IdList{272});
  CHECK(tokenizer.encode_document("hello").ids == IdList{1, 272});
  CHECK(tokenizer.encode_document("").ids == IdList{1});
  // Special tokens are decoded as they are, and are plain text in a text.
  CHECK(tokenizer.decode(IdList{1, 272, 277}) == "<s> hello▁<pad>");
  CHECK(tokenizer.encode("<s>").ids == IdList{259, 63, 118, 65});

  const transformer::EvaluationText text =
      transformer::full_protocol(tokenizer, "hello world", "x.txt", 4, 4);
  REQUIRE(text.windows.size() == 2);
  CHECK(text.windows[0].inputs == IdList{1, 272, 274, 275});
  CHECK(text.windows[1].inputs == IdList{262});
  CHECK(text.scored_tokens == 5);
}

TEST_CASE("tokenizer.json: long pieces take no quadratic time") {
  const std::string letters(std::size_t{1} << 20, 'l');
  const std::string blanks(std::size_t{1} << 20, ' ');
  for (const nlohmann::json& json :
       {marked_json(marking_normalizer(), nullptr),
        marked_json(nullptr, metaspace_step("first", true)),
        byte_level_json(steps_with_byte_level(split_step(llama3_pattern), false))}) {
    const transformer::Tokenizer tokenizer = tokenizer_of(json);
    for (const std::string& text : {letters, blanks, blanks + "x", letters + blanks + letters}) {
      const std::string decoded = tokenizer.decode(tokenizer.encode(text).ids);
      // Of a blank that Metaspace found at the start, the decoder cannot know.
      CHECK((decoded == text || " " + decoded == text));
    }
  }
}
