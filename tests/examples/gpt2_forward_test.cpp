#include <doctest/doctest.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "examples/bundled_model.hpp"
#include "transformer/attention.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/linear.hpp"
#include "transformer/loss.hpp"
#include "transformer/model.hpp"

namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using nash_swarm::test::bundled;
using nash_swarm::test::bundled_checkpoint;
using nash_swarm::test::reference;
using transformer::FloatMatrix;
using transformer::Model;
using Tokens = std::vector<std::int32_t>;

const Model& resident_model() {
  static const Model model = transformer::make_float_model(bundled_checkpoint(), true);
  return model;
}

Tokens valid_tokens(std::size_t begin, std::size_t count) {
  const Tokens all = reference().at("valid_first_1280_ids").get<Tokens>();
  const auto first = all.begin() + static_cast<std::ptrdiff_t>(begin);
  return Tokens(first, first + static_cast<std::ptrdiff_t>(count));
}

std::vector<float> values_of(const FloatMatrix& matrix) {
  const float* const data = matrix.view().data();
  return std::vector<float>(data, data + matrix.rows() * matrix.columns());
}

/// Largest difference, relative to the largest element of `b`.
double relative_difference(std::span<const float> a, std::span<const float> b) {
  REQUIRE(a.size() == b.size());
  double difference = 0.0;
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference =
        std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return difference / largest;
}

std::vector<float> logits_of_last(const Model& model, const Tokens& tokens, ThreadPool& pool) {
  const FloatMatrix hidden = transformer::hidden_states(model, tokens, 1, pool);
  FloatMatrix logits(1, model.config.vocab_size);
  model.token_embedding->logits(hidden.view().slice(0, tokens.size() - 1, tokens.size()),
                                logits.view(), pool);
  return values_of(logits);
}

struct RunResult {
  std::vector<float> hidden;
  std::vector<double> losses;
};

RunResult run_windows(const Model& model, std::size_t threads) {
  ThreadPool pool(threads);
  const Tokens tokens = valid_tokens(0, 2 * 80);
  const FloatMatrix hidden = transformer::hidden_states(model, tokens, 2, pool);
  const std::vector<double> losses =
      transformer::token_losses(model, hidden.view(), valid_tokens(1, 2 * 80), pool);
  return {values_of(hidden), losses};
}

/// A matrix whose elements follow from their indices.
class PatternSource : public transformer::WeightSource {
 public:
  PatternSource(std::size_t out, std::size_t in) : out_(out), in_(in) {}
  static float element(std::size_t row, std::size_t column) {
    return static_cast<float>((row * 31 + column * 17) % 64) - 31.5f;
  }
  std::size_t out_features() const override { return out_; }
  std::size_t in_features() const override { return in_; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    check_rows(begin, rows);
    for (std::size_t i = 0; i < rows.extent(0); ++i) {
      for (std::size_t j = 0; j < in_; ++j) rows(i, j) = element(begin + i, j);
    }
  }

 private:
  std::size_t out_;
  std::size_t in_;
  std::string name_ = "pattern";
};

void fill(FloatMatrix& matrix, int seed) {
  unsigned state = static_cast<unsigned>(seed);
  for (std::size_t i = 0; i < matrix.rows() * matrix.columns(); ++i) {
    state = state * 1664525u + 1013904223u;
    matrix.view().data()[i] = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
}

}  // namespace

TEST_CASE("logits of the bundled GPT-2 equal the reference") {
  ThreadPool pool(2);
  const std::vector<float> logits =
      logits_of_last(resident_model(), reference().at("ids").get<Tokens>(), pool);

  const auto first = reference().at("first_16_logits_of_last").get<std::vector<double>>();
  REQUIRE(first.size() == 16);
  for (std::size_t i = 0; i < first.size(); ++i) {
    CHECK(static_cast<double>(logits[i]) == doctest::Approx(first[i]).epsilon(1e-4));
  }
  std::vector<std::size_t> order(logits.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::partial_sort(order.begin(), order.begin() + 5, order.end(),
                    [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  order.resize(5);
  const nlohmann::json& top = reference().at("last_logits_top5");
  CHECK(order == top.at("ids").get<std::vector<std::size_t>>());
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(static_cast<double>(logits[order[i]]) ==
          doctest::Approx(top.at("logits").at(i).get<double>()).epsilon(1e-4));
  }
}

TEST_CASE("mean losses of the first windows of valid.txt equal the reference") {
  ThreadPool pool(2);
  const Model streamed = transformer::make_float_model(bundled_checkpoint(), false);
  const Tokens tokens = valid_tokens(0, 1280);
  Tokens targets(tokens.begin() + 1, tokens.end());
  targets.push_back(29);  // ">", the token that follows the listed ones
  const auto expected = reference().at("valid_first_5_windows_mean_nll").get<std::vector<double>>();

  const FloatMatrix hidden = transformer::hidden_states(streamed, tokens, 5, pool);
  const std::vector<double> losses =
      transformer::token_losses(streamed, hidden.view(), targets, pool);
  REQUIRE(losses.size() == 5 * 256);
  for (std::size_t window = 0; window < 5; ++window) {
    double sum = 0.0;
    for (std::size_t i = 0; i < 256; ++i) sum += losses[window * 256 + i];
    CHECK(sum / 256 == doctest::Approx(expected[window]).epsilon(1e-4));
  }
}

TEST_CASE("results do not depend on the number of threads or on streaming") {
  const Model streamed = transformer::make_float_model(bundled_checkpoint(), false);
  const RunResult one = run_windows(resident_model(), 1);
  const RunResult two = run_windows(resident_model(), 2);
  const RunResult three_streamed = run_windows(streamed, 3);
  CHECK(one.hidden == two.hidden);
  CHECK(one.losses == two.losses);
  CHECK(one.hidden == three_streamed.hidden);
  CHECK(one.losses == three_streamed.losses);
}

TEST_CASE("generation with a key-value cache equals the full pass") {
  ThreadPool pool(2);
  const Tokens tokens = valid_tokens(100, 90);
  const std::vector<float> full =
      values_of(transformer::hidden_states(resident_model(), tokens, 1, pool));

  transformer::KeyValueCache cache(resident_model().config, tokens.size());
  std::vector<float> cached;
  const std::size_t steps[] = {17, 1, 1, 66, 1, 1, 1, 1, 1};  // 66 fill more than a tile
  for (const std::size_t count : steps) {
    const std::span<const std::int32_t> next = std::span(tokens).subspan(cache.length(), count);
    const std::vector<float> part =
        values_of(transformer::hidden_states(resident_model(), next, cache, pool));
    cached.insert(cached.end(), part.begin(), part.end());
  }
  CHECK(cache.length() == tokens.size());
  CHECK(relative_difference(cached, full) < 1e-5);
  CHECK_THROWS_AS(transformer::hidden_states(resident_model(), Tokens{1}, cache, pool), Error);
  cache.clear();
  CHECK_NOTHROW(transformer::hidden_states(resident_model(), Tokens{1}, cache, pool));
}

TEST_CASE("sequences of a batch do not see each other, tokens do not see later ones") {
  ThreadPool pool(1);
  const Model& model = resident_model();
  const std::size_t width = model.config.n_embd;
  Tokens tokens = valid_tokens(0, 60);
  const std::vector<float> batch = values_of(transformer::hidden_states(model, tokens, 3, pool));
  const std::vector<float> second =
      values_of(transformer::hidden_states(model, std::span(tokens).subspan(20, 20), 1, pool));
  CHECK(relative_difference(std::span(batch).subspan(20 * width, 20 * width), second) < 1e-5);

  const std::vector<float> before = values_of(transformer::hidden_states(model, tokens, 1, pool));
  tokens[40] = 7;
  const std::vector<float> after = values_of(transformer::hidden_states(model, tokens, 1, pool));
  const auto changed = std::mismatch(before.begin(), before.end(), after.begin()).first;
  CHECK(static_cast<std::size_t>(changed - before.begin()) / width == 40);
}

TEST_CASE("an observer sees the input of every matrix once, in order") {
  ThreadPool pool(2);
  std::vector<std::string> names;
  std::vector<float> of_head;
  const Tokens tokens = valid_tokens(0, 6);
  const std::vector<transformer::MatrixShape> shapes =
      transformer::matrix_shapes(resident_model().config);
  const auto is_matrix = [&](const std::string& name) {
    return std::any_of(shapes.begin(), shapes.end(),
                       [&](const transformer::MatrixShape& shape) { return shape.name == name; });
  };
  const auto observe = [&](const std::string& name, TensorView<const float, 2> input) {
    if (!is_matrix(name)) return;
    REQUIRE(names.size() < shapes.size());
    CHECK(input.extent(0) == 6);
    CHECK(input.extent(1) == shapes[names.size()].in);
    if (name == "wte") of_head.assign(input.data(), input.data() + input.size());
    names.push_back(name);
  };
  const FloatMatrix hidden = transformer::hidden_states(resident_model(), tokens, 2, pool, observe);
  std::vector<std::string> expected;
  for (const transformer::MatrixShape& shape : shapes) expected.push_back(shape.name);
  CHECK(names == expected);
  CHECK(of_head == values_of(hidden));
}

TEST_CASE("tokens that do not fit the model are refused") {
  ThreadPool pool(1);
  const Model& model = resident_model();
  CHECK_THROWS_AS(transformer::hidden_states(model, Tokens{0, 4096}, 1, pool), Error);
  CHECK_THROWS_AS(transformer::hidden_states(model, Tokens{0, -1}, 1, pool), Error);
  CHECK_THROWS_AS(transformer::hidden_states(model, Tokens{}, 1, pool), Error);
  CHECK_THROWS_AS(transformer::hidden_states(model, Tokens{1, 2, 3}, 2, pool), Error);
  CHECK_THROWS_AS(transformer::hidden_states(model, Tokens{1, 2}, 0, pool), Error);
  CHECK_THROWS_AS(transformer::hidden_states(model, Tokens(257, 1), 1, pool), Error);
  CHECK_THROWS_AS(transformer::KeyValueCache(model.config, 257), Error);
  CHECK_THROWS_AS(transformer::KeyValueCache(model.config, 0), Error);
  const FloatMatrix hidden(2, model.config.n_embd);
  CHECK_THROWS_AS(transformer::token_losses(model, hidden.view(), Tokens{1}, pool), Error);
  CHECK_THROWS_AS(transformer::token_losses(model, hidden.view(), Tokens{1, 4096}, pool), Error);
}

TEST_CASE("causal attention equals its definition, with and without a past") {
  constexpr std::size_t sequences = 2, length = 70, heads = 2, d = 3, width = heads * d;
  for (const std::size_t past : {std::size_t{0}, std::size_t{5}}) {
    CAPTURE(past);
    const std::size_t seen = past + length;
    FloatMatrix q(sequences * length, width), k(sequences * seen, width),
        v(sequences * seen, width);
    FloatMatrix out(sequences * length, width);
    fill(q, 1), fill(k, 2), fill(v, 3);
    for (float& x : std::span(q.view().data(), q.view().size())) x *= 40.0f;  // peaked softmax
    ThreadPool pool(2);
    const auto rank3 = [](auto view, std::size_t rows) {
      using Element = typename decltype(view)::element_type;
      return TensorView<Element, 3>(view.data(), {sequences, rows, width});
    };
    transformer::causal_attention(rank3(q.view(), length), rank3(k.view(), seen),
                                  rank3(v.view(), seen), heads, rank3(out.view(), length), pool);

    double worst = 0.0;
    for (std::size_t row = 0; row < sequences * length; ++row) {
      for (std::size_t column = 0; column < width; ++column) {
        const std::size_t first = row / length * seen, head = column / d * d;
        double numerator = 0.0, denominator = 0.0;
        for (std::size_t key = first; key <= first + past + row % length; ++key) {
          double score = 0.0;
          for (std::size_t c = head; c < head + d; ++c) {
            score += static_cast<double>(q.view()(row, c)) * static_cast<double>(k.view()(key, c));
          }
          const double weight = std::exp(score / std::sqrt(static_cast<double>(d)));
          numerator += weight * static_cast<double>(v.view()(key, column));
          denominator += weight;
        }
        const double difference =
            static_cast<double>(out.view()(row, column)) - numerator / denominator;
        worst = std::max(worst, std::abs(difference));
      }
    }
    CHECK(worst < 2e-5);
  }
}

TEST_CASE("a matrix of several bands gives the same streamed and resident") {
  constexpr std::size_t out = 17000, in = 300, tokens = 2;  // 5.1 M floats: more than one band
  const auto source = std::make_shared<PatternSource>(out, in);
  FloatMatrix x(tokens, in), streamed(tokens, out), resident(tokens, out);
  for (std::size_t i = 0; i < tokens * in; ++i)
    x.view().data()[i] = static_cast<float>(i % 7) - 3.0f;
  ThreadPool pool(2);
  transformer::FloatLinear(source, false).apply(std::as_const(x).view(), streamed.view(), pool);
  transformer::FloatLinear(source, true).apply(std::as_const(x).view(), resident.view(), pool);
  CHECK(values_of(streamed) == values_of(resident));
  std::size_t wrong = 0;
  for (std::size_t row = 0; row < out; ++row) {
    float expected = 0.0f;  // halves of small integers: exact in any order
    for (std::size_t k = 0; k < in; ++k)
      expected += x.view()(1, k) * PatternSource::element(row, k);
    wrong += streamed.view()(1, row) != expected ? 1u : 0u;
  }
  CHECK(wrong == 0);
  FloatMatrix narrow(tokens, in - 1);
  CHECK_THROWS_AS(transformer::FloatLinear(source, false)
                      .apply(std::as_const(narrow).view(), streamed.view(), pool),
                  Error);
}

TEST_CASE("log_sum_exp is stable and adds up many logits") {
  std::vector<float> logits(50257, 1000.0f);
  CHECK(transformer::log_sum_exp(logits) ==
        doctest::Approx(1000.0 + std::log(50257.0)).epsilon(1e-9));
  logits.assign(3, -2000.0f);
  logits[1] = -1999.0f;
  CHECK(transformer::log_sum_exp(logits) ==
        doctest::Approx(-1999.0 + std::log(1.0 + 2.0 * std::exp(-1.0))).epsilon(1e-9));
}
