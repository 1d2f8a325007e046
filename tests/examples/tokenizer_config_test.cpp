#include "transformer/tokenizer_config.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>

#include "examples/opt_tokenizer.hpp"
#include "examples/tokenizer_json_support.hpp"
#include "io/support.hpp"
#include "transformer/calibration_text.hpp"
#include "transformer/evaluation_text.hpp"
#include "transformer/tokenizer.hpp"

namespace {

using nash_swarm::test::opt_tokenizer_config;
using IdList = std::vector<std::int32_t>;

/// The token before texts; "nothing", if there is none.
std::string start_in_text(const std::string& text) {
  const auto start = transformer::read_tokenizer_config(text, "tokenizer_config.json");
  if (!start) return "nothing";
  CHECK(start->file == "tokenizer_config.json");
  return start->token;
}
std::string start_of(const nlohmann::json& json) {
  return start_in_text(json.dump());
}

/// OPT's file with another value of a key.
nlohmann::json with(const char* key, const nlohmann::json& value) {
  nlohmann::json json = opt_tokenizer_config();
  json[key] = value;
  return json;
}

/// The tokenizer with OPT's vocabulary and a tokenizer_config.json.
transformer::Tokenizer tokenizer_with(const nlohmann::json& config) {
  return transformer::Tokenizer::from_text(
      nash_swarm::test::opt_vocabulary(), nash_swarm::test::opt_merges, "vocab.json", "merges.txt",
      transformer::read_tokenizer_config(config.dump(), "tokenizer_config.json"));
}

/// The message of an error about the file, with its remedy checked to be there.
std::string config_refusal(const std::function<void()>& action) {
  try {
    action();
  } catch (const nash_swarm::Error& error) {
    CHECK(error.subject() == "tokenizer_config.json");
    CHECK_FALSE(error.remedy().empty());
    return error.what();
  }
  return "";
}

void check_text_refused(const std::string& text, const std::string& part) {
  const std::string message = config_refusal([&] { start_in_text(text); });
  CAPTURE(text);
  CAPTURE(message);
  CHECK(message.find(part) != std::string::npos);
}
void check_config_refused(const nlohmann::json& json, const std::string& part) {
  check_text_refused(json.dump(), part);
}

}  // namespace

TEST_CASE("tokenizer config: bos_token comes before texts where add_bos_token is true") {
  CHECK(start_of(opt_tokenizer_config()) == "</s>");
  CHECK(start_of(with("bos_token", "</s>")) == "</s>");
  CHECK(start_of(with("bos_token", nlohmann::json::object({{"content", "<s>"}}))) == "<s>");
  CHECK(start_of(with("tokenizer_class", "GPT2TokenizerFast")) == "</s>");
  CHECK(start_in_text(R"({"add_bos_token": true, "bos_token": "a"})") == "a");
  CHECK(start_of(with("model_max_length", 1e30)) == "</s>");
}

TEST_CASE("tokenizer config: nothing comes before texts where add_bos_token is not true") {
  CHECK(start_in_text(R"({"model_max_length": 1024})") == "nothing");
  CHECK(start_in_text("{}") == "nothing");
  CHECK(start_of(with("add_bos_token", false)) == "nothing");
  CHECK(start_of(with("add_bos_token", nullptr)) == "nothing");
  nlohmann::json json = opt_tokenizer_config();
  json.erase("add_bos_token");
  CHECK(start_of(json) == "nothing");
  json["bos_token"] = 5;  // which then says nothing
  CHECK(start_of(json) == "nothing");
}

TEST_CASE("tokenizer config: the token starts documents, prompts and windows") {
  const transformer::Tokenizer tokenizer = tokenizer_with(opt_tokenizer_config());
  const transformer::Tokenizer without = tokenizer_with(with("add_bos_token", false));
  const IdList word = without.encode_document("hello").ids;
  CHECK(word.size() == 4);
  CHECK(word == without.encode("hello").ids);
  CHECK(word == tokenizer.encode("hello").ids);
  IdList document = word;
  document.insert(document.begin(), 2);
  CHECK(tokenizer.encode_document("hello").ids == document);
  CHECK(tokenizer.encode_document("").ids == IdList{2});
  CHECK(without.encode_document("").ids.empty());
  CHECK(tokenizer.fitted_to(272).encode_document("hello").ids == document);
  CHECK(tokenizer.decode(document) == "</s>hello");
  // The token is no special text.
  CHECK(tokenizer.encode("</s>").ids.size() == 4);
  CHECK(tokenizer.vocabulary_size() == 261);

  const transformer::EvaluationText text =
      transformer::full_protocol(tokenizer, "hello", "x.txt", 3, 4);
  REQUIRE(text.windows.size() == 2);
  CHECK(text.windows[0].inputs == IdList{document[0], document[1], document[2]});
  CHECK(text.windows[1].inputs == IdList{document[3]});
  CHECK(text.scored_tokens == 4);

  const nash_swarm::test::TemporaryFolder folder;
  nash_swarm::test::write_text(folder / "x.txt", "hello");
  CHECK(transformer::calibration_tokens(tokenizer, folder / "x.txt") == document);
}

TEST_CASE("tokenizer config: a tokenizer.json with the token in its template gives the same ids") {
  // Hugging Face's GPT2Converter makes a TemplateProcessing of add_bos_token.
  nlohmann::json json = nash_swarm::test::tokenizer_json(
      nash_swarm::test::bpe_model(nlohmann::json::parse(nash_swarm::test::opt_vocabulary()),
                                  nlohmann::json::array({"h e"})),
      nash_swarm::test::byte_level_step(true));
  json["pre_tokenizer"] = nash_swarm::test::byte_level_step(true);
  json["post_processor"] = nash_swarm::test::start_template("</s>", 2);
  const transformer::Tokenizer expected = nash_swarm::test::tokenizer_of(json);
  const transformer::Tokenizer tokenizer = tokenizer_with(opt_tokenizer_config());
  for (const std::string text : {"", "hello, the 日本", "</s>he"}) {
    CAPTURE(text);
    CHECK(tokenizer.encode(text).ids == expected.encode(text).ids);
    CHECK(tokenizer.encode_document(text).ids == expected.encode_document(text).ids);
  }
}

TEST_CASE("tokenizer config: every line of the paper protocol starts with the token") {
  nlohmann::json vocabulary = nlohmann::json::parse(nash_swarm::test::opt_vocabulary());
  vocabulary["<|endoftext|>"] = 261;
  const auto tokenizer = transformer::Tokenizer::from_text(
      vocabulary.dump(), nash_swarm::test::opt_merges, "vocab.json", "merges.txt",
      transformer::StartToken{"</s>", "tokenizer_config.json"});
  const transformer::EvaluationText text =
      transformer::paper_protocol(tokenizer, "he\nhello\n", "x.txt", 64);
  REQUIRE(text.windows.size() == 2);
  for (const transformer::Window& window : text.windows) {
    CHECK(window.inputs[0] == 2);
    CHECK(window.inputs[1] == 260);
  }
}

TEST_CASE("tokenizer config: what is kept of a file gives the same token") {
  const transformer::StartToken start{"</s>", "tokenizer_config.json"};
  CHECK(transformer::tokenizer_config_json(start) == nash_swarm::test::short_opt_tokenizer_config);
  for (const std::string token : {"</s>", "\"\\\n", "Ġé", ""}) {
    CAPTURE(token);
    CHECK(start_in_text(transformer::tokenizer_config_json({token, "x"})) == token);
  }
}

TEST_CASE("tokenizer config: what else would be in a text is refused by name") {
  for (const std::string key : {"add_eos_token", "add_prefix_space"}) {
    for (const bool start : {false, true}) {
      nlohmann::json json = with("add_bos_token", start);
      json[key] = true;
      check_config_refused(json, key + " true is not known here; use a model without it, or set");
      json[key] = nullptr;
      CHECK(start_of(json) == (start ? "</s>" : "nothing"));
    }
  }
  check_config_refused(
      with("tokenizer_class", "Qwen2Tokenizer"),
      "tokenizer_class 'Qwen2Tokenizer' without a tokenizer.json; add the tokenizer.json");
}

TEST_CASE("tokenizer config: damaged files are refused with the key") {
  for (const std::string text : {"", "{", "</s>", "{\"add_bos_token\": tru}", "{} x", "\xff"}) {
    check_text_refused(text, "not valid JSON at byte ");
  }
  check_text_refused(R"({"add_bos_token": true, "add_bos_token": false})",
                     "'add_bos_token' occurs twice");
  for (const std::string text : {"[]", "null", "true", "5", "\"</s>\""}) {
    check_text_refused(text, "is not a JSON object");
  }
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  check_text_refused(deep, "is not a JSON object");
  check_text_refused(R"({"add_bos_token": )" + deep + "}", "add_bos_token is neither true nor");

  for (const char* key : {"add_bos_token", "add_eos_token", "add_prefix_space"}) {
    for (const nlohmann::json& value : {nlohmann::json(1), nlohmann::json("true"),
                                        nlohmann::json::array(), nlohmann::json::object()}) {
      check_config_refused(with(key, value), std::string(key) + " is neither true nor false; down");
    }
  }
  check_config_refused(with("tokenizer_class", 5), "tokenizer_class is not a text");
  for (const nlohmann::json& value :
       {nlohmann::json(2), nlohmann::json(true), nlohmann::json::array({"</s>"})}) {
    check_config_refused(with("bos_token", value), "bos_token is not a text");
    check_config_refused(with("bos_token", nlohmann::json::object({{"content", value}})),
                         "bos_token content is not a text");
  }
  check_config_refused(with("bos_token", nlohmann::json::object()),
                       "bos_token content is not a text");
}

TEST_CASE("tokenizer config: a token that is missing is asked for") {
  const std::string part = "add_bos_token is true, but bos_token is missing; name the token";
  check_config_refused(with("bos_token", nullptr), part);
  nlohmann::json json = opt_tokenizer_config();
  json.erase("bos_token");
  check_config_refused(json, part);

  for (const std::string token : {"<bos>", "", "</s", "日", "\n"}) {
    CAPTURE(token);
    const std::string message = config_refusal([&] { tokenizer_with(with("bos_token", token)); });
    CAPTURE(message);
    CHECK(message.find("bos_token ") != std::string::npos);
    CHECK(message.find(" is not in the vocabulary; use the file that belongs to vocab.json") !=
          std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
  }
  const std::string message =
      config_refusal([&] { tokenizer_with(with("bos_token", std::string(5000, 'x'))); });
  CHECK(message.size() < 300);
}
