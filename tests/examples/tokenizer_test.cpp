#include "transformer/tokenizer.hpp"
#include "examples/bundled_model.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nash_swarm/core/error.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace fs = std::filesystem;
using nash_swarm::test::bundled;
using nlohmann::json;
using transformer::Tokenizer;
using Ids = std::vector<std::int32_t>;

const fs::path published = fs::path(NASH_SWARM_TEST_DATA) / "gpt2-bpe";
std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

Tokenizer load(const fs::path& folder) {
  return Tokenizer::from_text(read_file(folder / "vocab.json"), read_file(folder / "merges.txt"),
                              "vocab.json", "merges.txt");
}

const Tokenizer& published_tokenizer() {
  static const Tokenizer tokenizer = load(published);
  return tokenizer;
}

const Tokenizer& bundled_tokenizer() {
  static const Tokenizer tokenizer = load(bundled);
  return tokenizer;
}

/// The tokens of the 256 bytes, which are the first 256 of the bundled vocabulary.
const json& byte_vocabulary() {
  static const json bytes = [] {
    const json all = json::parse(read_file(bundled / "vocab.json"));
    json kept = json::object();
    for (const auto& [token, id] : all.items()) {
      if (id.get<int>() < 256) kept[token] = id;
    }
    return kept;
  }();
  return bytes;
}

/// The 256 bytes, then `more` from id 256 on.
json vocabulary_with(const std::vector<std::string>& more) {
  json vocabulary = byte_vocabulary();
  for (const std::string& token : more) vocabulary[token] = vocabulary.size();
  return vocabulary;
}

Tokenizer make(const json& vocabulary, const std::string& merges) {
  return Tokenizer::from_text(vocabulary.dump(), merges, "vocab.json", "merges.txt");
}

std::string message_with_remedy(const std::function<void()>& action) {
  try {
    action();
  } catch (const nash_swarm::Error& error) {
    CHECK_FALSE(error.remedy().empty());
    return error.what();
  }
  return "no error";
}

std::string message_with_remedy(const std::string& vocabulary, const std::string& merges) {
  return message_with_remedy([&] { Tokenizer::from_text(vocabulary, merges, "v.json", "m.txt"); });
}

void check_contains(const std::string& text, const std::string& part) {
  INFO(text);
  INFO(part);
  CHECK(text.find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("tokenizer: published vocabulary gives the published ids") {
  const Tokenizer& tokenizer = published_tokenizer();
  CHECK(tokenizer.vocabulary_size() == 50257);
  CHECK(tokenizer.end_of_text() == 50256);
  const json cases = json::parse(read_file(published / "cases.json"));
  REQUIRE(cases.size() == 20);
  for (const json& entry : cases) {
    const std::string text = entry.at("text").get<std::string>();
    INFO(text);
    const transformer::Encoded encoded = tokenizer.encode(text);
    CHECK(encoded.ids == entry.at("ids").get<Ids>());
    CHECK(encoded.invalid_bytes == 0);
    CHECK(tokenizer.decode(encoded.ids) == text);
  }
}

TEST_CASE("tokenizer: bundled vocabulary gives the ids of the reference") {
  const Tokenizer& tokenizer = bundled_tokenizer();
  const json reference = json::parse(read_file(bundled / "reference.json"));
  CHECK(tokenizer.vocabulary_size() == 4096);
  CHECK(tokenizer.end_of_text() == 4095);
  CHECK(tokenizer.encode(reference.at("text").get<std::string>()).ids ==
        reference.at("ids").get<Ids>());

  const std::string text = read_file(fs::path(NASH_SWARM_EXAMPLE_DATA) / "valid.txt");
  const transformer::Encoded encoded = tokenizer.encode(text);
  CHECK(encoded.invalid_bytes == 0);
  REQUIRE(encoded.ids.size() == reference.at("valid_tokens").get<std::size_t>());
  const Ids first(encoded.ids.begin(), encoded.ids.begin() + 1280);
  CHECK(first == reference.at("valid_first_1280_ids").get<Ids>());
  CHECK(tokenizer.decode(encoded.ids) == text);
}

TEST_CASE("tokenizer: empty text has no tokens") {
  CHECK(bundled_tokenizer().encode("").ids.empty());
  CHECK(bundled_tokenizer().encode(std::string_view()).ids.empty());
  CHECK(bundled_tokenizer().decode({}).empty());
}

TEST_CASE("tokenizer: end of text is plain text inside a text") {
  const Tokenizer& tokenizer = published_tokenizer();
  const Ids ids = tokenizer.encode("<|endoftext|>").ids;
  CHECK(ids == Ids{27, 91, 437, 1659, 5239, 91, 29});
  CHECK(tokenizer.decode(Ids{50256}) == "<|endoftext|>");
}

TEST_CASE("tokenizer: each invalid byte is a token of its own") {
  const Tokenizer& tokenizer = published_tokenizer();
  const auto check = [&](const std::string& bytes, std::size_t invalid) {
    const std::string text = "ab" + bytes + " cd";
    INFO(json(text).dump(-1, ' ', true, json::error_handler_t::replace));
    const transformer::Encoded encoded = tokenizer.encode(text);
    CHECK(encoded.invalid_bytes == invalid);
    CHECK(tokenizer.decode(encoded.ids) == text);
    if (invalid == bytes.size()) CHECK(encoded.ids.size() == invalid + 2);
  };
  check("\x80", 1);                  // continuation without a start
  check("\xff\xfe", 2);              // never valid
  check("\xc0\xaf", 2);              // overlong, 2 bytes
  check("\xe0\x9f\xbf", 3);          // overlong, 3 bytes
  check("\xf0\x8f\xbf\xbf", 4);      // overlong, 4 bytes
  check("\xed\xa0\x80", 3);          // surrogate U+D800
  check("\xed\xbf\xbf", 3);          // surrogate U+DFFF
  check("\xf4\x90\x80\x80", 4);      // U+110000
  check("\xf5\x80\x80\x80", 4);      // beyond every plane
  check("\xe2\x82", 2);              // truncated by the next character
  check("\xf0\x9f\x99", 3);          // truncated by the next character
  check("\xf0\x9f\x99\xc3\xa9", 3);  // truncated by a valid sequence
  check("\xc2\x80\xdf\xbf", 0);      // first and last of each length
  check("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", 0);
  check("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 0);

  for (const std::string truncated : {"a\xc3", "a\xe2\x82", "a\xf0\x9f\x99"}) {
    const transformer::Encoded encoded = tokenizer.encode(truncated);
    CHECK(encoded.invalid_bytes == truncated.size() - 1);
    CHECK(encoded.ids.size() == truncated.size());
  }
}

TEST_CASE("tokenizer: all bytes survive encoding and decoding") {
  std::string bytes;
  for (int round = 0; round < 3; ++round) {
    for (int byte = 0; byte < 256; ++byte) bytes += static_cast<char>(byte * (2 * round + 1));
  }
  for (const Tokenizer* tokenizer : {&published_tokenizer(), &bundled_tokenizer()}) {
    CHECK(tokenizer->decode(tokenizer->encode(bytes).ids) == bytes);
  }
}

TEST_CASE("tokenizer: white space is Unicode's White_Space") {
  // U+00A0 (bytes C2 A0) twice, and U+001C (which is no White_Space) twice, can each be merged.
  const Tokenizer tokenizer = make(vocabulary_with({"Âł", "ÂłÂł", "ĜĜ"}), "Â ł\nÂł Âł\nĜ Ĝ\n");
  const std::string space = "\xc2\xa0";
  const auto tokens = [&](const std::string& text) { return tokenizer.encode(text).ids.size(); };
  CHECK(tokens("a" + space + space) == 2);
  CHECK(tokens("a" + space + space + "b") == 4);  // the last one is left to the next piece
  CHECK(tokens("a\x1c\x1c"
               "b") == 3);
}

TEST_CASE("tokenizer: a pair is merged everywhere before what it made") {
  const Tokenizer tokenizer = make(vocabulary_with({"pq", "pqp"}), "#version: 0.2\npq p\np q\n");
  CHECK(tokenizer.encode("pqpq").ids == Ids{256, 256});
  CHECK(tokenizer.encode("ppqq").ids.size() == 3);
}

TEST_CASE("tokenizer: overlapping pairs are merged from the left") {
  const Tokenizer tokenizer = make(vocabulary_with({"zz", "zzzz"}), "z z\nzz zz\n");
  const std::int32_t z = byte_vocabulary().at("z").get<std::int32_t>();
  CHECK(tokenizer.encode("zzz").ids == Ids{256, z});
  CHECK(tokenizer.encode("zzzzzzz").ids == Ids{257, 256, z});
}

TEST_CASE("tokenizer: a long piece takes no quadratic time") {
  const std::string text(std::size_t{1} << 20, 'x');
  const Ids eight = published_tokenizer().encode("xxxxxxxx").ids;
  REQUIRE(eight.size() == 1);
  CHECK(published_tokenizer().encode(text).ids == Ids(text.size() / 8, eight[0]));
  const std::string blanks(std::size_t{1} << 20, ' ');
  CHECK(published_tokenizer().decode(published_tokenizer().encode(blanks + "x").ids) ==
        blanks + "x");
}

TEST_CASE("tokenizer: threads share one tokenizer") {
  const std::string text = read_file(bundled / "reference.json");
  const Tokenizer tokenizer = bundled_tokenizer();
  const Ids expected = tokenizer.encode(text).ids;
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) threads.emplace_back([&] { result = tokenizer.encode(text).ids; });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) CHECK(result == expected);
}

TEST_CASE("tokenizer: accepted variants of the files") {
  const json vocabulary = vocabulary_with({"he", "hel"});
  for (const std::string merges : {"#version: 0.2\nh e\nhe l\n", "#version: 0.2\r\nh e\r\nhe l\r\n",
                                   "h e\nhe l", "#version: 0.2\nh e\nhe l\n\n"}) {
    INFO(merges);
    CHECK(make(vocabulary, merges).encode("hel").ids == Ids{257});
  }
  const Tokenizer bytes_only = make(byte_vocabulary(), "#version: 0.2\n");
  CHECK(bytes_only.encode("hel").ids.size() == 3);
  CHECK_FALSE(bytes_only.end_of_text().has_value());
  CHECK(make(vocabulary_with({"##"}), "#version: 0.2\n# #\n").encode("##").ids == Ids{256});
}

TEST_CASE("tokenizer: ids of the model beyond the vocabulary stand for nothing") {
  const Tokenizer tokenizer = make(byte_vocabulary(), "#version: 0.2\n");
  CHECK(tokenizer.fitted_to(256).vocabulary_size() == 256);
  const Tokenizer fitted = tokenizer.fitted_to(1279);
  CHECK(fitted.vocabulary_size() == 1279);
  CHECK(fitted.encode("he").ids == tokenizer.encode("he").ids);
  CHECK(fitted.decode(Ids{tokenizer.encode("h").ids[0], 256, 1278}) == "h");
  check_contains(message_with_remedy([&] { fitted.decode(Ids{1279}); }), "1279");
}

TEST_CASE("tokenizer: a size that differs much from the model's is refused") {
  const Tokenizer tokenizer = make(byte_vocabulary(), "#version: 0.2\n");
  for (const std::size_t size : {std::size_t{255}, std::size_t{1280}, std::size_t{50257}}) {
    const std::string message = message_with_remedy([&] { tokenizer.fitted_to(size); });
    check_contains(message, "vocab.json: 256 tokens");
    check_contains(message, std::to_string(size));
  }
}

TEST_CASE("tokenizer: ids outside the vocabulary are refused") {
  const Tokenizer tokenizer = make(byte_vocabulary(), "#version: 0.2\n");
  check_contains(message_with_remedy([&] { tokenizer.decode(Ids{-1}); }),
                 "vocab.json: no token has the id -1");
  check_contains(message_with_remedy([&] {
                   tokenizer.decode(Ids{0, 256});
                 }),
                 "id 256; pass ids from 0 to 255");
}

TEST_CASE("tokenizer: bad vocabularies are refused with the entry") {
  const std::string merges = "#version: 0.2\n";
  const std::string good = vocabulary_with({"he"}).dump();
  CHECK(message_with_remedy(good, merges) == "no error");
  const auto with_id = [&](const json& id) {
    json vocabulary = vocabulary_with({"he"});
    vocabulary["he"] = id;
    return vocabulary.dump();
  };
  check_contains(message_with_remedy("", merges), "v.json: not valid JSON at byte");
  check_contains(message_with_remedy(good.substr(0, good.size() / 2), merges),
                 "v.json: not valid JSON at byte");
  check_contains(message_with_remedy(good + "x", merges), "not valid JSON at byte");
  check_contains(message_with_remedy("[1, 2]", merges), "v.json: not a JSON object");
  check_contains(message_with_remedy("7", merges), "v.json: not a JSON object");
  check_contains(message_with_remedy("null", merges), "v.json: not a JSON object");
  for (const json& id : {json("256"), json(256.5), json(-1), json(nullptr), json(true),
                         json::array({256}), json::object({{"id", 256}})}) {
    INFO(id.dump());
    check_contains(message_with_remedy(with_id(id), merges),
                   "v.json: token \"he\": its id is not a whole number");
  }
  check_contains(message_with_remedy(with_id(257), merges),
                 "token \"he\": id 257 in a vocabulary of 257 tokens");
  check_contains(message_with_remedy(with_id(std::uint64_t{1} << 32), merges),
                 "id 4294967296 is too large");
  check_contains(message_with_remedy(with_id(byte_vocabulary().at("a")), merges),
                 "v.json: tokens \"a\" and \"he\" have the same id");
  check_contains(message_with_remedy("{\"he\": 0, \"he\": 1}", merges),
                 "token \"he\" is listed twice");

  json without_byte = vocabulary_with({"he"});
  without_byte.erase("A");
  without_byte["he"] = byte_vocabulary().at("A");
  check_contains(message_with_remedy(without_byte.dump(), merges),
                 "v.json: no token \"A\" for byte 65");
  check_contains(message_with_remedy("{}", merges), "v.json: no token");
  check_contains(message_with_remedy(vocabulary_with({"h e"}).dump(), merges),
                 "v.json: token \"h e\" has a character that stands for no byte");
  check_contains(message_with_remedy(vocabulary_with({"日"}).dump(), merges), "stands for no byte");
}

TEST_CASE("tokenizer: bad merges are refused with the line") {
  const std::string vocabulary = vocabulary_with({"he"}).dump();
  const auto message = [&](const std::string& line) {
    return message_with_remedy(vocabulary, "#version: 0.2\nh e\n" + line + "\n#");
  };
  for (const std::string line : {"he", "h  e", " he", "he ", "h e l", "", "\r"}) {
    INFO(line);
    check_contains(message(line), "m.txt: line 3: ");
    check_contains(message(line), "is not two tokens with one blank between");
  }
  check_contains(message("he l"), "line 3: token \"hel\" of \"he l\" is not in the vocabulary");
  check_contains(message("xy l"), "line 3: token \"xy\" of \"xy l\" is not in the vocabulary");
  check_contains(message("l \xff"), "m.txt: line 3: token");
  // Only the first line can be the version line.
  check_contains(message("#version: 0.2"), "line 3: token \"#version:\"");
  check_contains(message("h e"), "m.txt: line 3: \"h e\" is listed twice");
  check_contains(message_with_remedy(vocabulary, ""), "m.txt: the file is empty");
  check_contains(message_with_remedy(vocabulary, vocabulary), "m.txt: line 1: ");
}
