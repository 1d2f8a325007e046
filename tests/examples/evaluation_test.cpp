#include "transformer/evaluation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nash_swarm/core/error.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "examples/bundled_model.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/loss.hpp"

namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using nash_swarm::test::bundled_checkpoint;
using nash_swarm::test::reference;
using transformer::Evaluation;
using transformer::EvaluationText;
using transformer::FloatMatrix;
using transformer::Model;
using transformer::WeightSource;
using Tokens = std::vector<std::int32_t>;

/// A matrix with noise that follows from the element's place alone.
class NoisySource : public WeightSource {
 public:
  NoisySource(std::shared_ptr<const WeightSource> original, float amplitude)
      : original_(std::move(original)), amplitude_(amplitude) {}
  std::size_t out_features() const override { return original_->out_features(); }
  std::size_t in_features() const override { return original_->in_features(); }
  const std::string& name() const override { return original_->name(); }
  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    original_->read_rows(begin, rows);
    for (std::size_t i = 0; i < rows.extent(0); ++i) {
      for (std::size_t j = 0; j < rows.extent(1); ++j) {
        const std::size_t place = (begin + i) * in_features() + j;
        const auto hash = static_cast<std::uint32_t>(place) * 2654435761u;
        rows(i, j) += amplitude_ * (static_cast<float>(hash >> 8) * 0x1p-23f - 1.0f);
      }
    }
  }

 private:
  std::shared_ptr<const WeightSource> original_;
  float amplitude_;
};

Model noisy_model(float amplitude) {
  return transformer::make_float_model(bundled_checkpoint(), true,
                                       [&](const std::shared_ptr<const WeightSource>& original) {
                                         return std::make_shared<NoisySource>(original, amplitude);
                                       });
}

const Model& float_model() {
  static const Model model = transformer::make_float_model(bundled_checkpoint(), true);
  return model;
}
const Model& slightly_noisy() {
  static const Model model = noisy_model(0.01f);
  return model;
}
const Model& noisy() {
  static const Model model = noisy_model(0.05f);
  return model;
}

/// Windows of `context` tokens over the first tokens of valid.txt, `scored` of them scored.
EvaluationText valid_text(std::size_t context, std::size_t scored) {
  Tokens tokens = reference().at("valid_first_1280_ids").get<Tokens>();
  tokens.push_back(29);  // the token that follows the listed ones
  REQUIRE(scored < tokens.size());
  EvaluationText text;
  text.file = "valid.txt";
  for (std::size_t begin = 0; begin < scored; begin += context) {
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = first + static_cast<std::ptrdiff_t>(std::min(context, scored - begin));
    text.windows.push_back({Tokens(first, last), Tokens(first + 1, last + 1)});
  }
  text.scored_tokens = scored;
  return text;
}

std::vector<Evaluation> evaluate(std::vector<const Model*> models, bool first_is_reference,
                                 const EvaluationText& text, std::size_t threads = 2) {
  ThreadPool pool(threads);
  return transformer::evaluate(models, first_is_reference, text, pool);
}

void check_same_losses(const Evaluation& a, const Evaluation& b) {
  CHECK(a.loss == b.loss);
  CHECK(a.window_losses == b.window_losses);
}

struct BruteForce {
  double loss = 0.0;
  double kld = 0.0;
  double agreement = 0.0;
};

/// log p of every token, in long double.
std::vector<long double> log_softmax(std::span<const float> logits) {
  long double sum = 0.0L;
  const long double maximum = *std::max_element(logits.begin(), logits.end());
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit) - maximum);
  std::vector<long double> log_p;
  for (const float logit : logits) {
    log_p.push_back(static_cast<long double>(logit) - maximum - std::log(sum));
  }
  return log_p;
}

/// Every window by itself, every token by the definitions.
BruteForce brute_force(const Model& p_model, const Model& q_model, const EvaluationText& text) {
  ThreadPool pool(1);
  long double loss = 0.0L;
  long double kld = 0.0L;
  std::size_t agreements = 0;
  for (const transformer::Window& window : text.windows) {
    const auto logits_of = [&](const Model& model) {
      const FloatMatrix hidden = transformer::hidden_states(model, window.inputs, 1, pool);
      FloatMatrix logits(hidden.rows(), model.config.vocab_size);
      model.token_embedding->logits(hidden.view(), logits.view(), pool);
      return logits;
    };
    const FloatMatrix p_logits = logits_of(p_model);
    const FloatMatrix q_logits = logits_of(q_model);
    const std::size_t vocabulary = p_logits.columns();
    for (std::size_t i = 0; i < window.inputs.size(); ++i) {
      const std::span p_row(p_logits.view()[i].data(), vocabulary);
      const std::span q_row(q_logits.view()[i].data(), vocabulary);
      const std::vector<long double> log_p = log_softmax(p_row);
      const std::vector<long double> log_q = log_softmax(q_row);
      for (std::size_t k = 0; k < vocabulary; ++k) {
        kld += std::exp(log_p[k]) * (log_p[k] - log_q[k]);
      }
      loss -= log_q[static_cast<std::size_t>(window.targets[i])];
      agreements += std::max_element(p_row.begin(), p_row.end()) - p_row.begin() ==
                            std::max_element(q_row.begin(), q_row.end()) - q_row.begin()
                        ? 1u
                        : 0u;
    }
  }
  const auto tokens = static_cast<double>(text.scored_tokens);
  return {static_cast<double>(loss) / tokens, static_cast<double>(kld) / tokens,
          static_cast<double>(agreements) / tokens};
}

}  // namespace

TEST_CASE("window losses of valid.txt equal the reference") {
  const auto expected = reference().at("valid_first_5_windows_mean_nll").get<std::vector<double>>();
  // More tokens than a chunk of logits.
  const Evaluation result = evaluate({&float_model()}, false, valid_text(256, 512)).at(0);
  REQUIRE(result.window_losses.size() == 2);
  double sum = 0.0;
  for (std::size_t window = 0; window < 2; ++window) {
    CHECK(result.window_losses[window] == doctest::Approx(expected[window]).epsilon(1e-4));
    sum += result.window_losses[window];
  }
  CHECK(result.loss == doctest::Approx(sum / 2).epsilon(1e-12));
  CHECK(result.seconds > 0.0);
  CHECK_FALSE(result.kld.has_value());
  CHECK_FALSE(result.top1_agreement.has_value());
}

TEST_CASE("loss is the mean over tokens, also when the last window is shorter") {
  const EvaluationText text = valid_text(16, 5 * 16 + 7);
  const Evaluation result = evaluate({&float_model()}, false, text).at(0);
  REQUIRE(result.window_losses.size() == 6);
  double sum = 0.0;
  for (std::size_t i = 0; i < 6; ++i) sum += result.window_losses[i] * (i < 5 ? 16.0 : 7.0);
  CHECK(result.loss == doctest::Approx(sum / 87).epsilon(1e-12));
}

TEST_CASE("loss, KL divergence and agreement equal their definitions") {
  const EvaluationText text = valid_text(16, 40);
  const std::vector<Evaluation> results =
      evaluate({&float_model(), &slightly_noisy(), &noisy()}, true, text);
  REQUIRE(results.size() == 3);
  CHECK(*results[0].kld == 0.0);
  CHECK(*results[0].top1_agreement == 1.0);
  const Model* const models[] = {&float_model(), &slightly_noisy(), &noisy()};
  for (std::size_t m = 0; m < 3; ++m) {
    CAPTURE(m);
    const BruteForce expected = brute_force(float_model(), *models[m], text);
    CHECK(results[m].loss == doctest::Approx(expected.loss).epsilon(1e-5));
    CHECK(*results[m].kld == doctest::Approx(expected.kld).epsilon(1e-4));
    CHECK(*results[m].top1_agreement == expected.agreement);
  }
  CHECK(*results[1].kld > 1e-5);
  CHECK(*results[2].kld > 5.0 * *results[1].kld);
  CHECK(*results[2].top1_agreement < *results[1].top1_agreement);
  CHECK(*results[1].top1_agreement < 1.0);
}

TEST_CASE("a model does not diverge from itself") {
  const std::vector<Evaluation> results = evaluate({&noisy(), &noisy()}, true, valid_text(16, 20));
  CHECK(*results[1].kld == 0.0);
  CHECK(*results[1].top1_agreement == 1.0);
  check_same_losses(results[0], results[1]);
}

TEST_CASE("evaluation is the same bit for bit for 1, 2 and 3 threads") {
  const EvaluationText text = valid_text(32, 72);
  const std::vector<const Model*> models{&float_model(), &noisy()};
  const std::vector<Evaluation> one = evaluate(models, true, text, 1);
  for (const std::size_t threads : {2u, 3u}) {
    const std::vector<Evaluation> several = evaluate(models, true, text, threads);
    for (std::size_t m = 0; m < 2; ++m) {
      check_same_losses(one[m], several[m]);
      CHECK(one[m].kld == several[m].kld);
      CHECK(one[m].top1_agreement == several[m].top1_agreement);
    }
  }
}

TEST_CASE("a model scores the same bit for bit alone and beside others") {
  const EvaluationText text = valid_text(32, 72);
  const Evaluation alone = evaluate({&noisy()}, false, text).at(0);
  check_same_losses(alone, evaluate({&noisy()}, true, text).at(0));
  check_same_losses(alone, evaluate({&float_model(), &noisy()}, true, text).at(1));
  const std::vector<Evaluation> three =
      evaluate({&float_model(), &slightly_noisy(), &noisy()}, true, text);
  check_same_losses(alone, three.at(2));
  check_same_losses(alone, evaluate({&noisy(), &float_model()}, false, text).at(0));
  // The divergence needs the reference, but none of the others.
  CHECK(three[2].kld == evaluate({&float_model(), &noisy()}, true, text).at(1).kld);
}

TEST_CASE("the observer counts models times scored tokens") {
  ThreadPool pool(2);
  const Model* const models[] = {&float_model(), &noisy()};
  std::size_t counted = 0;
  transformer::evaluate(models, true, valid_text(16, 53), pool,
                        [&](std::size_t tokens) { counted += tokens; });
  CHECK(counted == 2 * 53);
}

TEST_CASE("texts that do not fit the model are refused") {
  EvaluationText text = valid_text(16, 16);
  text.windows[0].targets.pop_back();
  CHECK_THROWS_AS(evaluate({&float_model()}, false, text), Error);
  text.windows.clear();
  CHECK_THROWS_AS(evaluate({&float_model()}, false, text), Error);
  text = valid_text(257, 257);
  CHECK_THROWS_AS(evaluate({&float_model()}, false, text), Error);
  text = valid_text(16, 16);
  text.windows[0].targets[3] = 4096;
  CHECK_THROWS_AS(evaluate({&float_model()}, false, text), Error);
  CHECK_THROWS_AS(evaluate({}, false, valid_text(16, 16)), Error);
}

TEST_CASE("the most likely token is the lowest one among equals") {
  const std::vector<float> logits{1.0f, 3.0f, 3.0f, -2.0f, 3.0f};
  CHECK(transformer::most_likely_token(logits) == 1);
  std::vector<float> many(50257, -1.0f);
  CHECK(transformer::most_likely_token(many) == 0);
  many[50256] = 0.0f;
  CHECK(transformer::most_likely_token(many) == 50256);
}

TEST_CASE("a small KL divergence keeps its digits") {
  // KL = ½·Var_p(δ) to second order; a uniform p with δ = ±ε has the variance ε².
  constexpr float epsilon = 0x1p-12f;
  std::vector<float> p(1000, 2.0f);
  std::vector<float> q = p;
  for (std::size_t i = 0; i < q.size(); ++i) q[i] += i % 2 == 0 ? epsilon : -epsilon;
  const double divergence =
      transformer::kl_divergence(p, transformer::log_sum_exp(p), q, transformer::log_sum_exp(q));
  CHECK(divergence == doctest::Approx(0.5 * 0x1p-24).epsilon(1e-6));
}
