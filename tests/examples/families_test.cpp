#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "examples/bundled_model.hpp"
#include "examples/tiny_model.hpp"
#include "transformer/config.hpp"
#include "transformer/evaluation.hpp"
#include "transformer/family.hpp"
#include "transformer/load_model.hpp"
#include "transformer/loss.hpp"
#include "transformer/model.hpp"
#include "transformer/quantizer.hpp"

namespace {

using nash_swarm::ThreadPool;
using nash_swarm::test::bundled_llama;
using nash_swarm::test::bundled_opt;
using transformer::FloatMatrix;
using transformer::Model;
using Ids = std::vector<std::int32_t>;

nlohmann::json reference_of(const std::filesystem::path& folder) {
  return nlohmann::json::parse(std::ifstream(folder / "reference.json"));
}

/// "" for a config that is read, else the message.
std::string refusal(nlohmann::json config, const char* key, const nlohmann::json& value) {
  config[key] = value;
  try {
    transformer::parse_config(config.dump(), "config.json");
  } catch (const nash_swarm::Error& error) {
    return error.what();
  }
  return "";
}

nlohmann::json config_of(const std::filesystem::path& folder) {
  return nlohmann::json::parse(std::ifstream(folder / "config.json"));
}

}  // namespace

TEST_CASE("families: logits and losses of the bundled LLaMA and OPT equal the reference") {
  ThreadPool pool(2);
  for (const auto& folder : {bundled_llama, bundled_opt}) {
    CAPTURE(folder);
    const nlohmann::json reference = reference_of(folder);
    const transformer::Checkpoint checkpoint(folder);
    checkpoint.check_finite(pool);
    const Model model = transformer::make_float_model(checkpoint, false);
    const Ids ids = reference.at("valid_first_1280_ids").get<Ids>();
    const FloatMatrix hidden = transformer::hidden_states(model, ids, 5, pool);
    Ids targets(ids.begin() + 1, ids.end());
    targets.push_back(0);  // not scored
    const std::vector<double> losses =
        transformer::token_losses(model, hidden.view(), targets, pool);

    const auto first = reference.at("first_window_nll").get<std::vector<double>>();
    REQUIRE(first.size() == 255);
    double sum = 0.0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
      if (i % 256 != 255) sum += losses[i];
      if (i < 255) CHECK(losses[i] == doctest::Approx(first[i]).epsilon(1e-4));
    }
    CHECK(sum / (5 * 255) ==
          doctest::Approx(
              reference.at("mean_nll_of_5_windows_of_256_each_token_after_the_first").get<double>())
              .epsilon(1e-4));

    FloatMatrix logits(1, model.config.vocab_size);
    model.token_embedding->logits(hidden.view().slice(0, 255, 256), logits.view(), pool);
    const auto expected =
        reference.at("last_logits_first_16_of_window_0").get<std::vector<double>>();
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CHECK(static_cast<double>(logits.view()(0, i)) == doctest::Approx(expected[i]).epsilon(1e-4));
    }
  }
}

TEST_CASE("families: generation with a key-value cache equals the full pass") {
  ThreadPool pool(2);
  for (const auto& folder : {bundled_llama, bundled_opt}) {
    CAPTURE(folder);
    const Ids all = reference_of(folder).at("valid_first_1280_ids").get<Ids>();
    const std::span<const std::int32_t> tokens = std::span(all).first(24);
    const Model model = transformer::make_float_model(transformer::Checkpoint(folder), false);
    const FloatMatrix full = transformer::hidden_states(model, tokens, 1, pool);
    transformer::KeyValueCache cache(model.config, 24);
    transformer::hidden_states(model, tokens.first(10), cache, pool);
    for (std::size_t token = 10; token < 24; ++token) {
      const FloatMatrix one =
          transformer::hidden_states(model, tokens.subspan(token, 1), cache, pool);
      for (std::size_t k = 0; k < one.columns(); ++k) {
        CHECK(std::fabs(one.view()(0, k) - full.view()(token, k)) < 1e-4f);
      }
    }
  }
}

TEST_CASE("families: options that are not computed are refused by file and key") {
  CHECK(refusal(config_of(bundled_llama), "hidden_act", "silu").empty());
  for (const auto& [key, value] : std::vector<std::pair<const char*, nlohmann::json>>{
           {"hidden_act", "gelu"},
           {"attention_bias", true},
           {"mlp_bias", true},
           {"rope_scaling", {{"rope_type", "llama3"}, {"factor", 8.0}}},
           {"rope_parameters", {{"rope_type", "yarn"}}},
           {"rope_scaling", "linear"},
           {"sliding_window", 4096},
           {"head_dim", 48},
           {"partial_rotary_factor", 0.5},
           {"num_key_value_heads", 4},
           {"num_attention_heads", 64},  // heads of 3 channels
           {"num_attention_heads", 7},
           {"hidden_size", "wide"},
           {"rope_theta", -1.0},
           {"tie_word_embeddings", "no"}}) {
    const std::string name = std::string(key) + " = " + value.dump();  // bindings are not captured
    CAPTURE(name);
    const std::string message = refusal(config_of(bundled_llama), key, value);
    CHECK(message.find("config.json: \"") == 0);
    CHECK(message.find(key) != std::string::npos);
  }
  CHECK(refusal(config_of(bundled_opt), "do_layer_norm_before", true).empty());
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, nlohmann::json>>{{"do_layer_norm_before", false},
                                                           {"activation_function", "gelu"},
                                                           {"word_embed_proj_dim", 96},
                                                           {"enable_bias", false},
                                                           {"tie_word_embeddings", false},
                                                           {"_remove_final_layer_norm", true}}) {
    const std::string name = key;
    CAPTURE(name);
    CHECK(refusal(config_of(bundled_opt), key, value).find("config.json: \"" + name) == 0);
  }
  const std::string unknown = refusal(config_of(bundled_llama), "model_type", "mamba");
  CHECK(unknown.find("\"model_type\": 'mamba' is not supported; use a model of one of gpt2, "
                     "llama, opt") != std::string::npos);
  CHECK(refusal(config_of(bundled_llama), "rope_scaling", {{"rope_type", "default"}}).empty());
}

TEST_CASE("families: the base of a rotary embedding is a number wherever it stands") {
  const auto message = [](const nlohmann::json& theta) {
    return refusal(config_of(bundled_llama), "rope_parameters", {{"rope_theta", theta}});
  };
  CHECK(message(5000).empty());
  CHECK(message(nullptr).empty());
  CHECK(message("10000").find("config.json: \"rope_theta\": '10000' is not a positive number") ==
        0);
  for (const nlohmann::json& theta :
       {nlohmann::json(0), nlohmann::json(-1.0), nlohmann::json(1e39)}) {
    CHECK(message(theta).find("config.json: \"rope_theta\": ") == 0);
  }
}

TEST_CASE("families: a rotary embedding whose type is nested without end is refused") {
  const std::string deep = std::string(200'000, '[') + std::string(200'000, ']');
  for (const std::string& options : {deep, "{\"rope_type\": " + deep + "}"}) {
    std::string text = config_of(bundled_llama).dump();
    text.replace(0, 1, "{\"rope_parameters\": " + options + ", ");
    CHECK_THROWS_WITH_AS(transformer::parse_config(text, "config.json"),
                         "config.json: \"rope_parameters\": a list is not supported; only models "
                         "whose rotary embedding is not scaled can be loaded",
                         nash_swarm::Error);
  }
}

TEST_CASE("families: matrices that read the same input are known as such") {
  const transformer::Config config =
      transformer::parse_config(config_of(bundled_llama).dump(), "config.json");
  const std::vector<transformer::MatrixShape> shapes = transformer::matrix_shapes(config);
  REQUIRE(shapes.size() == 4 * 7 + 2);
  const auto input = [&](const std::string& name) {
    return std::find_if(shapes.begin(), shapes.end(),
                        [&](const transformer::MatrixShape& shape) { return shape.name == name; })
        ->input;
  };
  CHECK(input("layers.1.self_attn.q_proj") == input("layers.1.self_attn.v_proj"));
  CHECK(input("layers.1.mlp.gate_proj") == input("layers.1.mlp.up_proj"));
  CHECK(input("layers.1.self_attn.q_proj") != input("layers.1.mlp.gate_proj"));
  CHECK(input("layers.1.self_attn.q_proj") != input("layers.2.self_attn.q_proj"));
  CHECK(input("embed_tokens") != input("lm_head"));
}

TEST_CASE("families: a LLaMA and an OPT are quantized, finished and read back") {
  ThreadPool pool(2);
  const nash_swarm::test::TemporaryFolder folder;
  Ids tokens(512);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    tokens[t] = static_cast<std::int32_t>(t * t % 1021);
  }
  const transformer::EvaluationText text = transformer::window_text(tokens, 64);
  for (const char* const family : {"llama", "opt"}) {
    const std::string name = family;
    CAPTURE(name);
    const transformer::Checkpoint& checkpoint = nash_swarm::test::tiny_checkpoint(name);
    nash_swarm::Rules rules;
    rules.windows = transformer::families_of_profile("fast");
    transformer::Quantizer quantizer(checkpoint, transformer::Scope::all, 0, pool, rules);
    quantizer.calibrate(tokens, nash_swarm::test::ignore);
    const nash_swarm::Plan plan = quantizer.plan(nash_swarm::Budget::bits(3.5));
    // Inputs: of attention, of its output, of the MLP, of its output, and of the ends.
    const std::size_t ends = checkpoint.config().tied_head ? 1 : 2;
    CHECK(nash_swarm::distinct_bases(plan.matrices()).size() == 4 + ends);
    const transformer::FinishResult result = quantizer.write_finished(
        plan, folder / name, nash_swarm::test::ignore, [](std::size_t, std::size_t) {});
    CHECK(result.kld_after <= result.kld_before);

    const transformer::LoadedModel packed = transformer::load_model(folder / name, false, pool);
    const Model reference = transformer::make_float_model(checkpoint, false);
    const Model* const models[] = {&reference, &packed.model};
    const double kld = transformer::evaluate(models, true, text, pool).back().kld.value();
    CHECK(kld > 0.0);
    CHECK(kld < 0.01);
  }
}
