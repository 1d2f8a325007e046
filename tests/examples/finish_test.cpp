#include "transformer/finish.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/model/pack.hpp>

#include "examples/tiny_model.hpp"
#include "support/random_matrix.hpp"
#include "transformer/baseline_source.hpp"
#include "transformer/loss.hpp"
#include "transformer/tunable_model.hpp"

namespace {

using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using nash_swarm::test::tiny_checkpoint;
using transformer::FinishResult;
using transformer::FloatMatrix;
using transformer::Model;
using transformer::TunableModel;
using Tokens = std::vector<std::int32_t>;

constexpr std::size_t context = 64;

/// All matrices of the tiny model at 2 bits, rounded to nearest, their rows in random orders.
const std::vector<PackedMatrix>& packed() {
  static const std::vector<PackedMatrix> matrices = [] {
    ThreadPool pool(1);
    std::vector<PackedMatrix> made;
    for (const auto& matrix : tiny_checkpoint().matrices()) {
      const std::size_t out = matrix->out_features();
      const std::size_t in = matrix->in_features();
      const nash_swarm::InputMoment nothing(matrix->name(), in);
      const nash_swarm::Format& format =
          nash_swarm::format_table[nash_swarm::format_index("b2_l2")];
      const nash_swarm::MatrixPlan plan{
          matrix->name(),
          out,
          in,
          std::make_shared<const nash_swarm::InputBasis>(matrix->name() + ".input", in, 64, 1),
          nash_swarm::CellMap(nash_swarm::panel_count(out), nash_swarm::block_count(in), format.id),
          support::random_row_order(out, in)};
      const FloatMatrix weights = transformer::read_slice(*matrix, 0, out);
      made.push_back(nash_swarm::pack(weights.view(), plan, nothing, pool));
    }
    return made;
  }();
  return matrices;
}

Tokens windows(std::size_t count) {
  std::mt19937_64 engine(7);
  Tokens tokens(count * context);
  for (std::int32_t& token : tokens) token = static_cast<std::int32_t>(engine() % 1024);
  return tokens;
}

FinishResult finish(std::size_t count, ThreadPool& pool) {
  return transformer::finish(tiny_checkpoint(), packed(), windows(count), pool,
                             [](std::size_t, std::size_t) {});
}

/// The divergence from the float model, summed over the tokens of whole windows.
double divergence(const Model& model, std::span<const std::int32_t> tokens, ThreadPool& pool) {
  const Model teacher = transformer::make_float_model(tiny_checkpoint(), false);
  const Model* const models[] = {&teacher, &model};
  const std::size_t sequences = tokens.size() / context;
  const FloatMatrix states[] = {transformer::hidden_states(teacher, tokens, sequences, pool),
                                transformer::hidden_states(model, tokens, sequences, pool)};
  const TensorView<const float, 2> hidden[] = {states[0].view(), states[1].view()};
  const std::vector<double> divergences =
      transformer::score_tokens(models, hidden, tokens, true, pool)[1].divergences;
  return std::accumulate(divergences.begin(), divergences.end(), 0.0);
}

bool same_scales(const PackedMatrix& a, const PackedMatrix& b) {
  return std::equal(a.row_scales().begin(), a.row_scales().end(), b.row_scales().begin());
}

}  // namespace

TEST_CASE("tunable model: gradients are the finite differences of the divergence") {
  ThreadPool pool(2);
  const Tokens tokens = windows(2);
  const Model teacher = transformer::make_float_model(tiny_checkpoint(), false);
  const FloatMatrix hidden = transformer::hidden_states(teacher, tokens, 2, pool);
  TunableModel model(tiny_checkpoint(), packed(), pool);
  std::mt19937_64 engine(3);
  for (auto& [name, vector] : model.vectors()) {
    for (float& value : vector.values) value += 0.001f * static_cast<float>(engine() % 64);
  }
  model.compute_gradients(
      tokens, 2, transformer::gradient_of_divergence(*teacher.token_embedding, hidden.view(), pool),
      pool);
  CHECK(model.vectors().size() ==
        5 + 10);  // row scales of five matrices, four biases, six of norms
  for (auto& [name, vector] : model.vectors()) {
    const std::string& tensor = name;  // a binding cannot be captured
    CAPTURE(tensor);
    double difference = 0.0;
    double size = 0.0;
    for (int sample = 0; sample < 6; ++sample) {
      // Rows of the embedding that occur in the text, so that both its roles count.
      const std::size_t index = name == "wte.row_scales"
                                    ? static_cast<std::size_t>(tokens[engine() % tokens.size()])
                                    : engine() % vector.values.size();
      constexpr float step = 0.005f;
      const float value = vector.values[index];
      vector.values[index] = value + step;
      double measured = divergence(model.model(), tokens, pool);
      vector.values[index] = value - step;
      measured =
          (measured - divergence(model.model(), tokens, pool)) / (2.0 * static_cast<double>(step));
      vector.values[index] = value;
      const double computed = static_cast<double>(vector.gradient[index]);
      difference += (measured - computed) * (measured - computed);
      size += measured * measured;
    }
    CHECK(size > 0.0);
    CHECK(std::sqrt(difference) < 0.02 * std::sqrt(size));
  }
}

TEST_CASE("finish: the held-out divergence falls to what it says, and no size changes") {
  ThreadPool pool(2);
  const FinishResult result = finish(24, pool);
  CHECK(result.kld_after < 0.995 * result.kld_before);
  REQUIRE(result.matrices.size() == packed().size());
  for (std::size_t m = 0; m < packed().size(); ++m) {
    const PackedMatrix& before = packed()[m];
    const PackedMatrix& after = result.matrices[m];
    CHECK(after.name() == before.name());
    CHECK(after.stored_bytes() == before.stored_bytes());
    CHECK(std::equal(after.codes().begin(), after.codes().end(), before.codes().begin()));
    CHECK_FALSE(same_scales(after, before));
  }
  // The model that the result describes, put together anew.
  TunableModel model(tiny_checkpoint(), result.matrices, pool);
  CHECK(result.tensors.size() == 10);
  for (const auto& [name, values] : result.tensors) {
    transformer::TunableVector& vector = model.vectors().at(name);
    REQUIRE(values.size() == vector.values.size());
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(vector.stored(i, values[i]) == values[i]);
    std::copy(values.begin(), values.end(), vector.values.begin());
  }
  const Tokens tokens = windows(24);
  Tokens held_out;
  for (const std::size_t window : {7u, 15u, 23u}) {
    const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(window * context);
    held_out.insert(held_out.end(), begin, begin + context);
  }
  CHECK(divergence(model.model(), held_out, pool) / static_cast<double>(held_out.size()) ==
        doctest::Approx(result.kld_after).epsilon(0.001));
}

TEST_CASE("finish: the same result for any number of threads") {
  ThreadPool one(1);
  ThreadPool three(3);
  const FinishResult expected = finish(16, one);
  const FinishResult found = finish(16, three);
  CHECK(expected.kld_after < expected.kld_before);
  CHECK(found.kld_before == expected.kld_before);
  CHECK(found.kld_after == expected.kld_after);
  CHECK(found.tensors == expected.tensors);
  for (std::size_t m = 0; m < expected.matrices.size(); ++m) {
    CHECK(same_scales(found.matrices[m], expected.matrices[m]));
  }
}

TEST_CASE("finish: without a window to hold out the model stays as it is") {
  ThreadPool pool(1);
  for (const std::size_t count : {0u, 1u}) {
    const FinishResult result = finish(count, pool);
    CHECK(result.tensors.empty());
    CHECK(result.kld_after == result.kld_before);
    REQUIRE(result.matrices.size() == packed().size());
    CHECK(same_scales(result.matrices[0], packed()[0]));
  }
}
