#include "transformer/lone_errors.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <nash_swarm/rounding/nearest.hpp>

#include "examples/tiny_model.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/decoded_matrix.hpp"
#include "transformer/evaluation.hpp"

namespace {

using nash_swarm::MatrixPlan;
using nash_swarm::PackedMatrix;
using nash_swarm::ThreadPool;

/// Rounds a matrix to the nearest codes of its plan.
PackedMatrix round(const transformer::Checkpoint& checkpoint, const MatrixPlan& plan,
                   ThreadPool& pool) {
  const auto& source = *checkpoint.matrix(plan.name);
  transformer::FloatMatrix weights(source.out_features(), source.in_features());
  source.read_rows(0, weights.view());
  return nash_swarm::round_to_nearest(plan.name, weights.view(), plan.basis, plan.cells, pool);
}

/// Every matrix at 4 bits under the seeds 0 and 1, and at 2 bits.
std::vector<transformer::LonePlans> plans_of(const transformer::Checkpoint& checkpoint) {
  std::vector<transformer::LonePlans> plans;
  for (const auto& matrix : checkpoint.matrices()) {
    const std::size_t out = matrix->out_features();
    const std::size_t in = matrix->in_features();
    const auto plan = [&](std::uint64_t seed, const std::string& format) {
      return MatrixPlan{
          matrix->name(), out, in,
          std::make_shared<const nash_swarm::InputBasis>("basis", in, 128, seed),
          nash_swarm::CellMap(
              nash_swarm::panel_count(out), nash_swarm::block_count(in),
              nash_swarm::format_table[nash_swarm::format_index(std::string_view(format))].id)};
    };
    plans.push_back({{plan(0, "b4_l4"), plan(1, "b4_l4")}, plan(0, "b2_l2")});
  }
  return plans;
}

}  // namespace

TEST_CASE(
    "lone errors: the KLD of models with one quantized matrix, and half the squared vectors") {
  const transformer::Checkpoint checkpoint(nash_swarm::test::tiny_model());
  ThreadPool pool(2);
  std::vector<std::int32_t> tokens(128);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    tokens[i] = static_cast<std::int32_t>(i * i * 37 % 1024);
  }
  const std::vector<transformer::LonePlans> plans = plans_of(checkpoint);
  const auto pack = [&](const MatrixPlan& plan) { return round(checkpoint, plan, pool); };
  const transformer::LoneErrors errors =
      transformer::lone_errors(checkpoint, plans, tokens, 64, pool, pack);
  REQUIRE(errors.losses.size() == plans.size());
  CHECK(errors.products.tokens() == tokens.size());
  transformer::EvaluationText text;
  for (const std::size_t begin : {0u, 64u}) {
    const std::vector<std::int32_t> window(tokens.data() + begin, tokens.data() + begin + 64);
    text.windows.push_back({window, window});
  }
  const transformer::Model reference = transformer::make_float_model(checkpoint, false);
  const auto loss_of = [&](const MatrixPlan& plan) {
    const auto decoded = std::make_shared<const transformer::DecodedMatrix>(
        checkpoint.matrix(plan.name), pack(plan), pool);
    const transformer::Model model = transformer::make_float_model(
        checkpoint, false,
        [&](const std::shared_ptr<const transformer::WeightSource>& original)
            -> std::shared_ptr<const transformer::WeightSource> {
          if (original->name() == plan.name) return decoded;
          return original;
        });
    const transformer::Model* const models[] = {&reference, &model};
    return transformer::evaluate(models, true, text, pool)[1].kld.value();
  };
  for (std::size_t m = 0; m < plans.size(); ++m) {
    CAPTURE(plans[m].coarse.name);
    const double expected = 0.5 * (loss_of(plans[m].seeds[0]) + loss_of(plans[m].seeds[1]));
    CHECK(expected > 0.0);
    CHECK(errors.losses[m] == doctest::Approx(expected).epsilon(1e-3));
    CHECK(errors.products.loss(m) == doctest::Approx(expected).epsilon(0.05));
    CHECK(errors.coarse_losses[m] == doctest::Approx(loss_of(plans[m].coarse)).epsilon(1e-3));
    CHECK(errors.coarse_losses[m] > 3.0 * expected);
  }
}

TEST_CASE("lone errors: the same for any number of threads") {
  const transformer::Checkpoint checkpoint(nash_swarm::test::tiny_model());
  const std::vector<std::int32_t> tokens(40, 7);
  std::vector<transformer::LonePlans> plans = plans_of(checkpoint);
  plans.resize(2);
  std::vector<transformer::LoneErrors> errors;
  for (const std::size_t threads : {1u, 3u}) {
    ThreadPool pool(threads);
    errors.push_back(transformer::lone_errors(
        checkpoint, plans, tokens, 40, pool,
        [&](const MatrixPlan& plan) { return round(checkpoint, plan, pool); }));
  }
  CHECK(errors[0].losses == errors[1].losses);
  CHECK(errors[0].coarse_losses == errors[1].coarse_losses);
  CHECK(errors[0].products.product(0, 1) == errors[1].products.product(0, 1));
}
