#include "transformer/evaluation_text.hpp"
#include "transformer/text_file.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "io/support.hpp"

namespace {

namespace fs = std::filesystem;
using nash_swarm::test::contains;
using nash_swarm::test::message_of;
using nash_swarm::test::TemporaryFolder;
using nash_swarm::test::write_text;
using transformer::EvaluationText;
using transformer::Tokenizer;
using Tokens = std::vector<std::int32_t>;

constexpr std::int32_t padding = 256;

/// A tokenizer without merges, whose ids are the bytes themselves, and 256 for the end of a text.
Tokenizer byte_tokenizer(bool with_end_of_text = true) {
  nlohmann::json ids = nlohmann::json::object();
  // GPT-2 writes printable bytes as themselves and the others, in order, as characters from 256 on.
  std::int32_t unprintable = 256;
  for (std::int32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    const std::int32_t character = printable ? byte : unprintable++;
    std::string utf8;
    if (character < 128) {
      utf8 = static_cast<char>(character);
    } else {
      utf8 += static_cast<char>(0xc0 | (character >> 6));
      utf8 += static_cast<char>(0x80 | (character & 0x3f));
    }
    ids[utf8] = byte;
  }
  if (with_end_of_text) ids["<|endoftext|>"] = padding;
  return Tokenizer::from_text(ids.dump(), "#version: 0.2\n", "vocab.json", "merges.txt");
}

Tokens padded(Tokens tokens, std::size_t size) {
  tokens.resize(size, padding);
  return tokens;
}

}  // namespace

TEST_CASE("full protocol: every token but the first is scored once") {
  const Tokenizer tokenizer = byte_tokenizer();
  const EvaluationText text =
      transformer::full_protocol(tokenizer, "abcdefghijkl", "letters.txt", 4, 16);  // 11 to score
  CHECK(text.file == "letters.txt");
  CHECK(text.protocol == "full");
  CHECK(text.context == 4);
  CHECK(text.stride == 4);
  CHECK(text.scored_tokens == 11);
  CHECK(text.invalid_bytes == 0);
  REQUIRE(text.windows.size() == 3);
  CHECK(text.windows[0].inputs == Tokens{'a', 'b', 'c', 'd'});
  CHECK(text.windows[0].targets == Tokens{'b', 'c', 'd', 'e'});
  CHECK(text.windows[1].inputs == Tokens{'e', 'f', 'g', 'h'});
  CHECK(text.windows[1].targets == Tokens{'f', 'g', 'h', 'i'});
  CHECK(text.windows[2].inputs == Tokens{'i', 'j', 'k'});
  CHECK(text.windows[2].targets == Tokens{'j', 'k', 'l'});
}

TEST_CASE("full protocol: max_tokens is exact") {
  const Tokenizer tokenizer = byte_tokenizer();
  const std::string letters(30, 'x');
  for (const std::size_t most : {1u, 3u, 4u, 5u, 8u, 28u, 29u, 30u, 1000u, 0u}) {
    CAPTURE(most);
    const EvaluationText text = transformer::full_protocol(tokenizer, letters, "x", 4, 4, most);
    const std::size_t expected = most == 0 || most > 29 ? 29 : most;
    CHECK(text.scored_tokens == expected);
    std::size_t targets = 0;
    for (std::size_t i = 0; i < text.windows.size(); ++i) {
      const transformer::Window& window = text.windows[i];
      CHECK(window.inputs.size() == window.targets.size());
      CHECK((window.inputs.size() == 4 || i + 1 == text.windows.size()));
      targets += window.targets.size();
    }
    CHECK(targets == expected);
  }
}

TEST_CASE("paper protocol: non-blank lines, cut or padded to 64 tokens") {
  const Tokenizer tokenizer = byte_tokenizer();
  const std::string line(70, 'x');
  const std::string lines = "\n \t\r\nab\n\n" + line + "\r\nc";
  const EvaluationText text = transformer::paper_protocol(tokenizer, lines, "tiny.txt", 64);
  CHECK(text.file == "tiny.txt");
  CHECK(text.protocol == "paper");
  CHECK(text.context == 64);
  CHECK(text.stride == 64);
  CHECK(text.scored_tokens == 3 * 63);
  REQUIRE(text.windows.size() == 3);
  CHECK(text.windows[0].inputs == padded({'a', 'b'}, 63));
  CHECK(text.windows[0].targets == padded({'b'}, 63));
  CHECK(text.windows[1].inputs == Tokens(63, 'x'));
  CHECK(text.windows[1].targets == Tokens(63, 'x'));
  CHECK(text.windows[2].inputs == padded({'c'}, 63));
  CHECK(text.windows[2].targets == Tokens(63, padding));
  CHECK(text.windows[0].padding == 62);
  CHECK(text.windows[1].padding == 0);
  CHECK(text.windows[2].padding == 63);
  CHECK(text.padding_tokens == 125);

  const EvaluationText two = transformer::paper_protocol(tokenizer, lines, "tiny.txt", 64, 2);
  CHECK(two.windows.size() == 2);
  CHECK(two.scored_tokens == 2 * 63);
}

TEST_CASE("paper protocol: 100 samples unless told otherwise") {
  std::string lines;
  for (int i = 0; i < 110; ++i) lines += "line\n";
  CHECK(transformer::paper_protocol(byte_tokenizer(), lines, "x", 64).windows.size() == 100);
  CHECK(transformer::paper_protocol(byte_tokenizer(), lines, "x", 64, 105).windows.size() == 105);
}

TEST_CASE("invalid UTF-8 is counted and kept") {
  const Tokenizer tokenizer = byte_tokenizer();
  const EvaluationText full = transformer::full_protocol(tokenizer, "a\xff\xfe", "x", 4, 4);
  CHECK(full.invalid_bytes == 2);
  CHECK(full.windows.at(0).targets == Tokens{0xff, 0xfe});
  const EvaluationText paper = transformer::paper_protocol(tokenizer, "a\xff\n\xc3\n", "x", 64);
  CHECK(paper.invalid_bytes == 2);
  CHECK(paper.windows.at(1).inputs == padded({0xc3}, 63));
}

TEST_CASE("texts and options that cannot be evaluated are named") {
  const Tokenizer tokenizer = byte_tokenizer();
  const auto full = [&](const char* text, std::size_t context) {
    return message_of([&] { transformer::full_protocol(tokenizer, text, "some.txt", context, 8); });
  };
  CHECK(contains(full("", 4), "some.txt: the text is empty"));
  CHECK(contains(full("a", 4), "some.txt: the text is shorter than two tokens"));
  CHECK(full("ab", 4) == "");
  CHECK(contains(full("abc", 0), "--context: 0"));
  CHECK(contains(full("abc", 9), "--context: 9"));
  CHECK(full("abc", 8) == "");

  const auto paper = [&](const char* text, std::size_t n_ctx, std::size_t samples) {
    return message_of(
        [&] { transformer::paper_protocol(tokenizer, text, "some.txt", n_ctx, samples); });
  };
  CHECK(contains(paper("", 64, 50), "some.txt: the text is empty"));
  CHECK(contains(paper(" \n\n\t\n", 64, 50), "some.txt: the text is empty"));
  CHECK(contains(paper("\na\n", 64, 50), "some.txt: the text is shorter than two tokens"));
  CHECK(contains(paper("ab", 63, 50), "--protocol"));
  CHECK(contains(paper("ab", 64, 0), "--samples"));
  CHECK(paper("ab", 64, 50) == "");
  const std::string without_padding =
      message_of([] { transformer::paper_protocol(byte_tokenizer(false), "ab", "some.txt", 64); });
  CHECK(contains(without_padding, "<|endoftext|>"));
}

TEST_CASE("a text file is read as it is, or named with what is wrong") {
  const TemporaryFolder folder;
  const std::string bytes("a\0\r\n\xff", 5);
  write_text(folder / "text", bytes);
  CHECK(transformer::read_text_file(folder / "text") == bytes);

  const auto message = [](const fs::path& path) {
    return message_of([&] { transformer::read_text_file(path); });
  };
  CHECK(contains(message(folder / "missing"), (folder / "missing").string() + ": "));
  CHECK(contains(message(folder.path()), folder.path().string() + ": "));
  write_text(folder / "empty", "");
  CHECK(contains(message(folder / "empty"), (folder / "empty").string() + ": "));
}

TEST_CASE("a text of JSON lines is its texts, and a broken line is named by its number") {
  const TemporaryFolder folder;
  const auto text_of = [&](const std::string& lines) {
    write_text(folder / "c4.jsonl", lines);
    return transformer::read_text(folder / "c4.jsonl");
  };
  const auto message = [&](const std::string& lines) {
    return message_of([&] { text_of(lines); });
  };
  CHECK(text_of("{\"text\": \"a\\nb\", \"url\": \"u\"}\n\n{\"text\": \"\\u00e9\"}") ==
        "a\nb\n\n\xc3\xa9");
  CHECK(contains(message("{\"text\": \"a\"}\n{\"text\": "), "c4.jsonl, line 2: is not valid JSON"));
  CHECK(contains(message("{\"text\": \"a\"}\n\n{\"url\": \"\"}\n"),
                 "c4.jsonl, line 3: has no \"text\""));
  CHECK(contains(message("{\"text\": 1}"), "line 1: has no \"text\""));
  CHECK(contains(message("[]"), "line 1: has no \"text\""));
  write_text(folder / "plain", "{\"text\": 1}");
  CHECK(transformer::read_text(folder / "plain") == "{\"text\": 1}");
}
