#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/thread_pool.hpp>

#include "examples/shell.hpp"
#include "gguf/block_rounding.hpp"
#include "gguf/tensor_names.hpp"
#include "gguf/type_losses.hpp"
#include "gguf/type_plan.hpp"
#include "io/gguf_text.hpp"

namespace {

using gguf::TypeLoss;
using nash_swarm::GroupMoment;
using nash_swarm::MatrixCalibration;
using nash_swarm::SymmetricSums;
using nash_swarm::test::add_tensor;
using nash_swarm::test::contains;
using nash_swarm::test::gguf_number;
using nash_swarm::test::gguf_string;
using nash_swarm::test::GgufText;
using nash_swarm::test::message_of;
using nash_swarm::test::read_text;
using nash_swarm::test::Result;
using nash_swarm::test::Shell;
using nash_swarm::test::write_text;

/// Gaussian weights [out, in]; rows differ in length.
std::vector<float> uneven_weights(std::size_t out, std::size_t in) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> weights(out * in);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = normal(random) * (1.0f + static_cast<float>(i / in % 7));
  }
  return weights;
}

gguf::Matrix matrix_of(const std::vector<float>& weights, std::size_t in) {
  gguf::Matrix matrix;
  matrix.name = "blk.0.ffn_up.weight";
  matrix.in_features = in;
  matrix.out_features = weights.size() / in;
  matrix.read = [&weights, in](std::size_t first, std::span<float> rows) {
    std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>(first * in), rows.size(),
                rows.begin());
  };
  return matrix;
}

/// Moments of fewer than 64 channels that are not diagonal.
SymmetricSums small_sums(std::size_t groups, std::size_t channels) {
  SymmetricSums sums(groups, channels);
  for (std::size_t i = 0; i < sums.values().size(); ++i) {
    const std::size_t a = i / channels % channels;
    const std::size_t b = i % channels;
    const std::size_t group = i / (channels * channels);
    sums.values()[i] = a == b ? 4.0f + static_cast<float>((a + group) % 5)
                              : 0.9f * std::cos(static_cast<float>(a * b + group));
  }
  return sums;
}

std::optional<TypeLoss> loss_of(const std::vector<TypeLoss>& losses, std::string_view type) {
  for (const TypeLoss& loss : losses) {
    if (loss.type == type) return loss;
  }
  return std::nullopt;
}

std::vector<float> rounding_errors(const std::vector<float>& weights, std::size_t in,
                                   std::string_view type) {
  std::vector<float> errors(weights.size());
  for (std::size_t begin = 0; begin < weights.size(); begin += in) {
    const std::span<float> row = std::span(errors).subspan(begin, in);
    gguf::round_row(*gguf::block_scheme(type), std::span(weights).subspan(begin, in), {}, row);
    for (std::size_t k = 0; k < in; ++k) row[k] -= weights[begin + k];
  }
  return errors;
}

/// What an error costs under the moments of a group.
double quadratic_form(const GroupMoment& moment, std::span<const float> error) {
  double sum = 0.0;
  for (std::size_t a = 0; a < error.size(); ++a) {
    for (std::size_t b = 0; b < error.size(); ++b) {
      sum += static_cast<double>(error[a]) * moment(a, b) * static_cast<double>(error[b]);
    }
  }
  return sum;
}

/// A model of two matrices, and what is not to be planned.
GgufText small_model() {
  GgufText text;
  text.pairs = {{"general.architecture", 8, gguf_string("llama")}};
  const auto floats = [](std::size_t out, std::size_t in) {
    std::string bytes;
    for (const float value : uneven_weights(out, in)) bytes += gguf_number(value);
    return bytes;
  };
  add_tensor(text, "blk.0.attn_q.weight", {256, 16}, 0, floats(16, 256));
  add_tensor(text, "blk.0.ffn_up.weight", {32, 64}, 0, floats(64, 32));
  add_tensor(text, "blk.0.attn_norm.weight", {256}, 0, floats(1, 256));
  add_tensor(text, "position_embd.weight", {32, 4}, 0, floats(4, 32));
  return text;
}

}  // namespace

TEST_CASE("losses of GGUF types without moments are relative squared errors") {
  nash_swarm::ThreadPool pool(2);
  const std::size_t in = 256;
  const std::vector<float> weights = uneven_weights(20, in);
  const std::vector<TypeLoss> losses = type_losses(matrix_of(weights, in), pool);
  CHECK(losses.size() == 14);
  const std::vector<float> errors = rounding_errors(weights, in, "Q4_K");
  double error = 0.0;
  double square = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    error += static_cast<double>(errors[i]) * static_cast<double>(errors[i]);
    square += static_cast<double>(weights[i]) * static_cast<double>(weights[i]);
  }
  const std::optional<TypeLoss> q4 = loss_of(losses, "Q4_K");
  REQUIRE(q4.has_value());
  CHECK(q4->bytes == 20 * 144);
  CHECK(q4->loss == doctest::Approx(error / square * static_cast<double>(weights.size())));
  CHECK(loss_of(losses, "F16")->bytes == 20 * 256 * 2);
  CHECK(loss_of(losses, "F16")->loss < 1e-3 * q4->loss);
}

TEST_CASE("GGUF types whose blocks do not divide a row are not offered") {
  nash_swarm::ThreadPool pool(1);
  const std::vector<float> weights = uneven_weights(2, 96);
  const std::vector<TypeLoss> blocks_of_32 = type_losses(matrix_of(weights, 96), pool);
  CHECK(loss_of(blocks_of_32, "Q8_0")->bytes == 2 * 3 * 34);
  CHECK_FALSE(loss_of(blocks_of_32, "Q4_K").has_value());
  const std::vector<float> odd = uneven_weights(2, 33);
  CHECK(type_losses(matrix_of(odd, 33), pool).size() == 2);  // F16 and BF16
}

TEST_CASE("with gradients losses of GGUF types are the quadratic form of the errors") {
  nash_swarm::ThreadPool pool(2);
  const std::size_t in = 32;
  const std::size_t out = 6;
  const std::vector<float> weights = uneven_weights(out, in);
  const nash_swarm::InputMoment inputs("m", small_sums(1, in), 10);
  std::vector<double> squares(2 * out);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] = 1.0 + static_cast<double>(i % 5);
  const nash_swarm::GradientMoment gradients("m", 3, small_sums(2, in), squares, 100, 4);
  const MatrixCalibration calibration(inputs, gradients);
  gguf::Matrix matrix = matrix_of(weights, in);
  matrix.calibration = &calibration;
  const std::vector<TypeLoss> losses = type_losses(matrix, pool);
  for (const std::string_view type : {"Q4_0", "Q5_1"}) {
    const std::vector<float> errors = rounding_errors(weights, in, type);
    double expected = 0.0;
    for (std::size_t row = 0; row < out; ++row) {
      const GroupMoment moment(calibration, calibration.group_of(row));
      expected += 0.5 * calibration.row_share(row) *
                  quadratic_form(moment, std::span(errors).subspan(row * in, in));
    }
    CHECK(loss_of(losses, type)->loss == doctest::Approx(expected).epsilon(1e-4));
  }
  // Moments of the inputs alone: the error of the output, relative to the output, by weights.
  const MatrixCalibration inputs_alone(inputs);
  matrix.calibration = &inputs_alone;
  const std::vector<float> errors = rounding_errors(weights, in, "Q4_0");
  double error = 0.0;
  double output = 0.0;
  for (std::size_t row = 0; row < out; ++row) {
    error += quadratic_form(GroupMoment(inputs_alone, 0), std::span(errors).subspan(row * in, in));
    for (std::size_t k = 0; k < in; ++k) {
      const double weight = static_cast<double>(weights[row * in + k]);
      output += inputs.mean_square(k) * weight * weight;
    }
  }
  CHECK(loss_of(type_losses(matrix, pool), "Q4_0")->loss ==
        doctest::Approx(error / output * static_cast<double>(weights.size())).epsilon(1e-4));
}

TEST_CASE("losses of GGUF types from sampled rows are near those from all") {
  const std::size_t in = 32;
  const std::vector<float> weights = uneven_weights(2000, in);
  const nash_swarm::InputMoment inputs("m", small_sums(1, in), 10);
  std::vector<double> squares(2 * 2000);
  for (std::size_t i = 0; i < squares.size(); ++i) squares[i] = 1.0 + static_cast<double>(i % 13);
  const nash_swarm::GradientMoment gradients("m", 1000, small_sums(2, in), squares, 100, 4);
  const MatrixCalibration calibration(inputs, gradients);
  gguf::Matrix matrix = matrix_of(weights, in);
  matrix.calibration = &calibration;
  nash_swarm::ThreadPool pool(2);
  nash_swarm::ThreadPool alone(1);
  const std::vector<TypeLoss> all = type_losses(matrix, pool);
  const std::vector<TypeLoss> some = type_losses(matrix, pool, 200 * in);
  const std::vector<TypeLoss> again = type_losses(matrix, alone, 200 * in);
  REQUIRE(some.size() == all.size());
  for (std::size_t t = 0; t < all.size(); ++t) {
    CHECK(some[t].loss == doctest::Approx(all[t].loss).epsilon(0.1));
    CHECK(some[t].loss != all[t].loss);
    CHECK(some[t].loss == again[t].loss);  // whatever the threads
  }
}

TEST_CASE("what cannot be planned for GGUF is refused by name") {
  nash_swarm::ThreadPool pool(1);
  std::vector<float> weights = uneven_weights(4, 32);
  gguf::Matrix matrix = matrix_of(weights, 32);
  const std::vector<float> short_imatrix(31, 1.0f);
  matrix.imatrix = short_imatrix;
  const auto message = [&] { return message_of([&] { type_losses(matrix, pool); }); };
  CHECK(contains(message(), "blk.0.ffn_up.weight: an imatrix of 31 channels"));
  matrix.imatrix = {};
  const nash_swarm::InputMoment inputs("m", 64);
  const MatrixCalibration calibration(inputs);
  matrix.calibration = &calibration;
  CHECK(contains(message(), "moments of 64 channels"));
  matrix.calibration = nullptr;
  weights[2 * 32 + 5] = std::numeric_limits<float>::quiet_NaN();
  CHECK(contains(message(), "NaN at [2, 5]"));
  // No half-precision number reaches this one.
  weights[2 * 32 + 5] = 1e30f;
  const std::vector<TypeLoss> losses = type_losses(matrix, pool);
  CHECK(loss_of(losses, "BF16").has_value());
  CHECK_FALSE(loss_of(losses, "F16").has_value());
  CHECK_FALSE(loss_of(losses, "Q8_0").has_value());
}

TEST_CASE("a plan of GGUF types fits its budget and is an equilibrium") {
  nash_swarm::ThreadPool pool(1);
  std::vector<gguf::TensorTypes> tensors{
      {"blk.10.attn_q.weight", {{"Q8_0", 80, 1.0}, {"Q4_K", 40, 10.0}}},
      {"Odd=name.weight", {{"Q8_0", 80, 3.0}, {"IQ4_NL", 40, 30.0}}}};
  const gguf::TypePlan plan = gguf::plan_types(tensors, 130, pool);
  CHECK(plan.certificate.bytes == 120);
  CHECK(plan.certificate.epsilon == 0.0);
  CHECK(plan.certificate.loss == 13.0);
  CHECK(gguf::tensor_type_lines(plan) ==
        "^blk\\.10\\.attn_q\\.weight$=q4_k\n^.dd.name\\.weight$=q8_0\n");
  CHECK(contains(message_of([&] { gguf::plan_types(tensors, 79, pool); }), "80"));
  tensors[0].types.clear();
  CHECK(contains(message_of([&] { gguf::plan_types(tensors, 130, pool); }), "blk.10.attn_q"));
}

TEST_CASE("tensors of Hugging Face checkpoints have names in GGUF") {
  using gguf::gguf_name;
  CHECK(gguf_name("gpt2", "h.11.attn.c_attn") == "blk.11.attn_qkv.weight");
  CHECK(gguf_name("gpt2", "transformer.h.0.mlp.c_proj.bias") == "blk.0.ffn_down.bias");
  CHECK(gguf_name("gpt2", "wte") == "token_embd.weight");
  CHECK(gguf_name("llama", "model.layers.3.self_attn.q_proj.weight") == "blk.3.attn_q.weight");
  CHECK(gguf_name("llama", "model.norm.weight") == "output_norm.weight");
  CHECK(gguf_name("llama", "lm_head.weight") == "output.weight");
  CHECK(gguf_name("llama", "model.layers.3.self_attn.rotary_emb.inv_freq") == std::nullopt);
  CHECK(gguf_name("llama", "model.layers..mlp.up_proj.weight") == std::nullopt);
  CHECK(gguf_name("llama", "model.layers.7") == std::nullopt);
  CHECK(gguf_name("gpt2", "h.0.attn.bias") == std::nullopt);
  CHECK(gguf_name("opt", "model.decoder.layers.0.fc1.weight") == std::nullopt);
}

TEST_CASE("plan_gguf writes what llama-quantize reads") {
  const Shell shell;
  write_text(shell.folder() / "model.gguf", small_model().whole());
  const Result result = shell.run("plan_gguf", "--model model.gguf --bits 5 --plan-out plan.txt");
  CAPTURE(result.err);
  CHECK(result.exit_code == nash_swarm::test::done);
  const std::string plan = read_text(shell.folder() / "plan.txt");
  CHECK(contains(plan, "^blk\\.0\\.attn_q\\.weight$=q"));
  CHECK(contains(plan, "^blk\\.0\\.ffn_up\\.weight$="));
  CHECK_FALSE(contains(plan, "norm"));
  CHECK_FALSE(contains(plan, "position"));
  CHECK(contains(result.out, "gap"));
  CHECK(contains(result.out, "--tensor-type-file plan.txt"));
}

TEST_CASE("plan_gguf heeds an imatrix") {
  const Shell shell;
  write_text(shell.folder() / "model.gguf", small_model().whole());
  GgufText imatrix;
  std::string sums;
  for (std::size_t k = 0; k < 256; ++k) sums += gguf_number(k % 4 == 0 ? 400.0f : 4.0f);
  add_tensor(imatrix, "blk.0.attn_q.weight.in_sum2", {256, 1}, 0, sums);
  add_tensor(imatrix, "blk.0.attn_q.weight.counts", {1, 1}, 0, gguf_number(4.0f));
  write_text(shell.folder() / "imatrix.gguf", imatrix.whole());
  const std::string command = "--model model.gguf --bits 5 --plan-out plan.txt";
  const Result with = shell.run("plan_gguf", command + " --imatrix imatrix.gguf");
  CAPTURE(with.err);
  CHECK(with.exit_code == nash_swarm::test::done);
  CHECK(with.out != shell.run("plan_gguf", command).out);
  imatrix.data.replace(imatrix.tensors[1].offset, 4, gguf_number(0.0f));
  write_text(shell.folder() / "none.gguf", imatrix.whole());
  CHECK(contains(
      shell.refused("plan_gguf", "--model model.gguf --plan-out new.txt --imatrix none.gguf"),
      "'blk.0.attn_q.weight.in_sum2': seen by no token"));
  GgufText other;
  add_tensor(other, "blk.7.attn_q.weight.in_sum2", {256, 1}, 0, sums);
  add_tensor(other, "blk.7.attn_q.weight.counts", {1, 1}, 0, gguf_number(4.0f));
  write_text(shell.folder() / "other.gguf", other.whole());
  CHECK(contains(
      shell.refused("plan_gguf", "--model model.gguf --plan-out new.txt --imatrix other.gguf"),
      "other.gguf: has none of the model's tensors"));
}

TEST_CASE("plan_gguf refuses bad input and leaves nothing behind") {
  const Shell shell;
  GgufText model = small_model();
  write_text(shell.folder() / "model.gguf", model.whole());
  const auto refused = [&](const std::string& arguments) {
    return shell.refused("plan_gguf", "--plan-out plan.txt " + arguments);
  };
  CHECK(contains(refused("--model absent.gguf"), "absent.gguf"));
  CHECK(contains(refused("--model model.gguf --bits 1.5"), "budget"));
  CHECK(contains(refused("--model model.gguf --bits 17"), "--bits"));
  model.pairs.push_back({"split.count", 2, gguf_number(std::uint16_t{3})});
  write_text(shell.folder() / "model.gguf", model.whole());
  CHECK(contains(refused("--model model.gguf"), "one part of a model in 3"));
  model = small_model();
  add_tensor(model, "blk.0.ffn_down.weight", {256, 1}, 12, std::string(144, 'q'));
  write_text(shell.folder() / "model.gguf", model.whole());
  CHECK(contains(refused("--model model.gguf"), "'blk.0.ffn_down.weight' is stored as Q4_K"));
}
