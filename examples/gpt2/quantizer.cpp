#include "gpt2/quantizer.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <random>
#include <utility>

#include <nash_swarm/model/pack.hpp>

#include "gpt2/backward.hpp"
#include "gpt2/calibration_text.hpp"
#include "gpt2/evaluation.hpp"
#include "gpt2/float_matrix.hpp"
#include "gpt2/lone_errors.hpp"
#include "gpt2/packed.hpp"

namespace gpt2 {
namespace {

using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::GradientMoment;
using nash_swarm::InputMoment;
using nash_swarm::OtherTensor;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// Tokens of text on which so many models are measured: the more there are, and the larger, the
/// fewer each gets.
std::size_t measuring_tokens(std::size_t models, std::size_t weights, std::size_t most) {
  constexpr std::size_t fewest = 64;
  constexpr std::size_t products = 300'000'000'000;
  return std::clamp(products / (models * weights), fewest, most);
}

/// The matrices with all their cells in one format.
std::vector<nash_swarm::MatrixPlan> in_one_format(std::vector<nash_swarm::MatrixPlan> matrices,
                                                  std::string_view format) {
  const nash_swarm::FormatId id =
      nash_swarm::format_table[nash_swarm::format_index(format)].id;
  for (nash_swarm::MatrixPlan& matrix : matrices) {
    matrix.cells = nash_swarm::CellMap(nash_swarm::panel_count(matrix.out_features),
                                       nash_swarm::block_count(matrix.in_features), id);
  }
  return matrices;
}

FloatMatrix whole_matrix(const WeightSource& source, ThreadPool& pool) {
  FloatMatrix matrix(source.out_features(), source.in_features());
  constexpr std::size_t rows_per_task = 256;
  const std::size_t rows = matrix.rows();
  pool.run((rows + rows_per_task - 1) / rows_per_task, [&](std::size_t task) {
    const std::size_t begin = task * rows_per_task;
    source.read_rows(begin, matrix.view().slice(0, begin, std::min(rows, begin + rows_per_task)));
  });
  source.release();
  return matrix;
}

OtherTensor document(const std::string& name, const std::string& text) {
  return {{name, DataType::U8, {text.size()}},
          [&text](const OtherTensor::Sink& sink) { sink(std::as_bytes(std::span(text))); }};
}

/// Floats in a 16-bit or 32-bit type.
std::vector<std::byte> encode_floats(const std::string& name, DataType type,
                                     std::span<const float> floats) {
  std::vector<std::byte> bytes(floats.size() * nash_swarm::size_of(type));
  for (std::size_t i = 0; i < floats.size(); ++i) {
    if (type == DataType::F32) {
      std::memcpy(bytes.data() + 4 * i, &floats[i], 4);
      continue;
    }
    const std::uint16_t bits = type == DataType::F16 ? nash_swarm::to_half(floats[i]).bits
                                                     : nash_swarm::to_bfloat16(floats[i]).bits;
    if (type == DataType::F16 && (bits & 0x7c00u) == 0x7c00u) {
      throw Error(name, "element " + std::to_string(i) + " is beyond the range of F16",
                  "store the checkpoint in BF16");
    }
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return bytes;
}

/// Matrices take two bytes per weight; vectors keep their type.
DataType type_to_store(DataType type, std::size_t rank) {
  return rank >= 2 && type == DataType::F32 ? DataType::F16 : type;
}

OtherTensor small_tensor(const Checkpoint& checkpoint, const TensorShape& tensor) {
  const DataType type = type_to_store(checkpoint.data_type(tensor.name), tensor.shape.size());
  return {{tensor.name, type, tensor.shape},
          [&checkpoint, name = tensor.name, type](const OtherTensor::Sink& sink) {
            const nash_swarm::AlignedBuffer<float> floats = checkpoint.floats(name);
            sink(encode_floats(name, type, {floats.data(), floats.size()}));
          }};
}

OtherTensor unquantized_matrix(const Checkpoint& checkpoint,
                               const std::shared_ptr<const WeightSource>& source) {
  const std::string name = source->name() + ".weight";
  const DataType type = type_to_store(checkpoint.data_type(name), 2);
  return {{name, type, {source->out_features(), source->in_features()}},
          [source, name, type](const OtherTensor::Sink& sink) {
            constexpr std::size_t rows_at_once = 256;
            for (std::size_t begin = 0; begin < source->out_features(); begin += rows_at_once) {
              FloatMatrix rows(std::min(rows_at_once, source->out_features() - begin),
                               source->in_features());
              source->read_rows(begin, rows.view());
              sink(encode_floats(name, type, {rows.view().data(), rows.view().size()}));
            }
            source->release();
          }};
}

std::shared_ptr<const nash_swarm::InputBasis> basis_of(const std::string& matrix, std::size_t in,
                                                       std::uint64_t seed) {
  return std::make_shared<const nash_swarm::InputBasis>(
      matrix + ".input", in, nash_swarm::InputBasis::widest_rotation(in), seed);
}

/// Rows that share gradient moments: each head's queries, keys and values have their own.
std::size_t rows_of_group(const Config& config, const WeightSource& matrix) {
  return matrix.name().ends_with("attn.c_attn") ? config.head_size() : matrix.out_features();
}

}  // namespace

Scope parse_scope(const std::string& word) {
  for (const Scope scope : {Scope::all, Scope::blocks, Scope::lm_head}) {
    if (word == name_of(scope)) return scope;
  }
  throw Error("--scope", "unknown scope \"" + word + "\"", "use all, blocks or lm_head");
}

std::string_view name_of(Scope scope) {
  return scope == Scope::all ? "all" : scope == Scope::blocks ? "blocks" : "lm_head";
}

bool in_scope(Scope scope, std::string_view matrix) {
  return scope == Scope::all || (scope == Scope::lm_head) == (matrix == "wte");
}

std::vector<std::shared_ptr<const WeightSource>> matrices_in_scope(const Checkpoint& checkpoint,
                                                                   Scope scope) {
  std::vector<std::shared_ptr<const WeightSource>> matrices;
  std::copy_if(checkpoint.matrices().begin(), checkpoint.matrices().end(),
               std::back_inserter(matrices),
               [scope](const auto& matrix) { return in_scope(scope, matrix->name()); });
  return matrices;
}

std::vector<OtherTensor> other_tensors(const Checkpoint& checkpoint, Scope scope) {
  std::vector<OtherTensor> others;
  for (const auto& matrix : checkpoint.matrices()) {
    if (!in_scope(scope, matrix->name())) others.push_back(unquantized_matrix(checkpoint, matrix));
  }
  for (const TensorShape& tensor : other_tensor_shapes(checkpoint.config())) {
    others.push_back(small_tensor(checkpoint, tensor));
  }
  others.push_back(document("config.json", checkpoint.config_text()));
  others.push_back(document("vocab.json", checkpoint.vocabulary_text()));
  others.push_back(document("merges.txt", checkpoint.merges_text()));
  return others;
}

Quantizer::Quantizer(const Checkpoint& checkpoint, Scope scope, std::uint64_t seed,
                     ThreadPool& pool, nash_swarm::Rules rules)
    : checkpoint_(checkpoint),
      scope_(scope),
      seed_(seed),
      pool_(pool),
      rules_(std::move(rules)),
      others_(other_tensors(checkpoint, scope)) {
  for (const auto& matrix : matrices_in_scope(checkpoint, scope)) {
    const std::size_t in = matrix->in_features();
    weights_ += matrix->out_features() * in;
    matrices_.push_back({matrix->name(),
                         matrix->out_features(),
                         in,
                         basis_of(matrix->name(), in, seed + matrices_.size()),
                         {}});
  }
  smallest_ = nash_swarm::packed_model_sizes(nash_swarm::smallest_plan(matrices_, rules_), others_);
}

void Quantizer::calibrate(std::span<const std::int32_t> tokens, const WeightProgress& progress) {
  const auto matrices = matrices_in_scope(checkpoint_, scope_);
  moments_.clear();
  gradients_.clear();
  for (const auto& matrix : matrices) {
    const std::string& name = matrix->name();
    moments_.emplace(name, InputMoment(name, matrix->in_features()));
    gradients_.emplace(name, GradientMoment(name, matrix->out_features(), matrix->in_features(),
                                            rows_of_group(checkpoint_.config(), *matrix)));
  }
  gather_moments(tokens, progress);
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    const std::string& name = matrices[m]->name();
    const FloatMatrix weights = whole_matrix(*matrices[m], pool_);
    model_.add(name, weights.view(), calibration(name), matrices_[m].basis, pool_);
  }
  correct_payoffs(calibration_windows(tokens, checkpoint_.config().n_ctx,
                                      measuring_tokens(matrices.size(), weights_, 1536)));
}

void Quantizer::gather_moments(std::span<const std::int32_t> tokens,
                               const WeightProgress& progress) {
  const Model model = make_float_model(checkpoint_, false);
  GradientObserver observer;
  observer.matrix = [this](const std::string& name, TensorView<const float, 2> x,
                           TensorView<const float, 2> dy) {
    if (!in_scope(scope_, name)) return;
    moments_.at(name).add(x, pool_);
    gradients_.at(name).add(x, dy, pool_);
  };
  observer.token_embedding = [this](TensorView<const float, 2> hidden,
                                    TensorView<const float, 2> gradient) {
    if (!in_scope(scope_, "wte")) return;
    moments_.at("wte").add(hidden, pool_);
    gradients_.at("wte").add_gradient(gradient, hidden.extent(0), pool_);
  };
  std::mt19937_64 engine;
  const std::size_t context = std::min(checkpoint_.config().n_ctx, tokens.size());
  const std::size_t windows = context == 0 ? 0 : tokens.size() / context;
  for (std::size_t w = 0; w < windows; ++w) {
    run_backward(model, tokens.subspan(w * context, context), gradient_of_drawn_labels(engine),
                 pool_, observer);
    progress(weights_ / windows);
  }
}

nash_swarm::MatrixCalibration Quantizer::calibration(const std::string& matrix) const {
  return {moments_.at(matrix), gradients_.at(matrix)};
}

void Quantizer::correct_payoffs(std::span<const std::int32_t> tokens) {
  // Errors about as large as those of plans of 3 bits, and of 1.5.
  constexpr std::string_view fine = "b4_l4";
  constexpr std::string_view coarse = "b2_l2";
  const std::vector<nash_swarm::MatrixPlan> fine_plans = in_one_format(matrices_, fine);
  const std::vector<nash_swarm::MatrixPlan> coarse_plans = in_one_format(matrices_, coarse);
  std::vector<LonePlans> plans;
  for (std::size_t m = 0; m < matrices_.size(); ++m) {
    plans.push_back({{fine_plans[m], fine_plans[m]}, coarse_plans[m]});
    plans.back().seeds[1].basis = basis_of(matrices_[m].name, matrices_[m].in_features,
                                           seed_ + matrices_.size() + m);
  }
  const LoneErrors errors =
      lone_errors(checkpoint_, plans, tokens, pool_,
                  [this](const nash_swarm::MatrixPlan& plan) { return pack(plan); });
  for (std::size_t m = 0; m < matrices_.size(); ++m) {
    std::vector<nash_swarm::LoneLoss> measured;
    const auto consider = [&](std::string_view name, double loss) {
      const std::size_t format = nash_swarm::format_index(name);
      const double expected = model_.matrices()[m].payoff.loss(format);
      if (loss > 0.0 && expected > 0.0) measured.push_back({format, loss});
    };
    consider(fine, errors.losses[m]);
    consider(coarse, errors.coarse_losses[m]);
    if (!measured.empty()) model_.correct(matrices_[m].name, measured);
  }
  model_.couple(errors.products.headings());
}

void Quantizer::fit_prediction(std::span<const std::int32_t> tokens) {
  const std::size_t context = std::min(checkpoint_.config().n_ctx, tokens.size());
  if (context < 2) return;
  const EvaluationText text = window_text(
      calibration_windows(tokens, context, measuring_tokens(3, weights_, 8192)), context);
  const auto measured = [&](double bits) {
    const std::uint64_t budget = nash_swarm::Budget::bits(bits).for_weights(weights_);
    const nash_swarm::Plan plan =
        this->plan(nash_swarm::Budget::bytes(std::max(budget, smallest_.matrix_bytes)));
    return MeasuredPlan{plan.predicted_loss(), measured_kld(plan.matrices(), text)};
  };
  const MeasuredPlan fine = measured(3.0);
  if (!(fine.expected > 0.0)) return;
  prediction_ =
      Prediction(measured_kld(in_one_format(matrices_, "raw16"), text), fine, measured(2.0));
}

double Quantizer::measured_kld(const std::vector<nash_swarm::MatrixPlan>& plans,
                               const EvaluationText& text) const {
  std::vector<nash_swarm::PackedMatrix> packed;
  for (const nash_swarm::MatrixPlan& plan : plans) packed.push_back(pack(plan));
  const Model reference = make_float_model(checkpoint_, false);
  const Model model = make_packed_model(checkpoint_, packed);
  const Model* const models[] = {&reference, &model};
  return evaluate(models, true, text, pool_).back().kld.value();
}

nash_swarm::PackedMatrix Quantizer::pack(const nash_swarm::MatrixPlan& plan) const {
  const FloatMatrix weights = whole_matrix(*checkpoint_.matrix(plan.name), pool_);
  return nash_swarm::pack(weights.view(), plan, calibration(plan.name), pool_);
}

nash_swarm::Plan Quantizer::plan(const nash_swarm::Budget& budget) const {
  return nash_swarm::allocate(model_, budget, rules_);
}

nash_swarm::Plan Quantizer::plan_for_file(std::uint64_t file_bytes) const {
  if (smallest_.file_bytes > file_bytes) {
    throw Error("budget",
                std::to_string(file_bytes) +
                    " bytes are fewer than the smallest possible file of " +
                    std::to_string(smallest_.file_bytes),
                "give at least " + std::to_string(smallest_.file_bytes) + " bytes");
  }
  // The header has numbers whose digits depend on the plan, so the rest of the file is measured.
  std::uint64_t budget = file_bytes - smallest_.other_bytes;
  for (;;) {
    nash_swarm::Plan plan = this->plan(nash_swarm::Budget::bytes(budget));
    const nash_swarm::PackedModelSizes sizes = this->sizes(plan);
    if (sizes.file_bytes <= file_bytes) return plan;
    budget -= std::min(sizes.file_bytes - file_bytes, budget - smallest_.matrix_bytes);
  }
}

nash_swarm::Plan Quantizer::plan_of(const std::vector<nash_swarm::CellMap>& cells,
                                    std::uint64_t budget, double price,
                                    std::span<const double> y) const {
  std::vector<nash_swarm::MatrixPlan> plans = matrices_;
  for (std::size_t m = 0; m < plans.size(); ++m) plans[m].cells = cells.at(m);
  budget = std::max(budget, nash_swarm::planned_bytes(plans));
  return nash_swarm::certify(model_, std::move(plans), budget, price, rules_, y);
}

nash_swarm::PackedModelSizes Quantizer::sizes(const nash_swarm::Plan& plan) const {
  return nash_swarm::packed_model_sizes(plan.matrices(), others_);
}

void Quantizer::write(const nash_swarm::Plan& plan, const std::filesystem::path& target,
                      const WeightProgress& progress) const {
  nash_swarm::write_packed_model(target, plan.matrices(), others_,
                                 [&](const nash_swarm::MatrixPlan& matrix) {
                                   nash_swarm::PackedMatrix packed = pack(matrix);
                                   progress(matrix.out_features * matrix.in_features);
                                   return packed;
                                 });
}

}  // namespace gpt2
