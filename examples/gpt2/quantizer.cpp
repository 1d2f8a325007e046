#include "gpt2/quantizer.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include <nash_swarm/io/fingerprint.hpp>
#include <nash_swarm/model/pack.hpp>

#include "gpt2/calibration_text.hpp"
#include "gpt2/evaluation.hpp"
#include "gpt2/float_matrix.hpp"
#include "gpt2/lone_errors.hpp"
#include "gpt2/packed.hpp"
#include "gpt2/whole_matrices.hpp"

namespace gpt2 {
namespace {

using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::OtherTensor;
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

/// The tensors with other values in some of them.
std::vector<OtherTensor> with_values(std::vector<OtherTensor> tensors,
                                     const std::map<std::string, std::vector<float>>& values) {
  for (OtherTensor& tensor : tensors) {
    const auto found = values.find(tensor.spec.name);
    if (found == values.end()) continue;
    tensor.write = [&floats = found->second, spec = tensor.spec](const OtherTensor::Sink& sink) {
      sink(encode_floats(spec.name, spec.type, floats));
    };
  }
  return tensors;
}

std::shared_ptr<const nash_swarm::InputBasis> basis_of(const std::string& matrix, std::size_t in,
                                                       bool rotated, std::uint64_t seed) {
  return std::make_shared<const nash_swarm::InputBasis>(
      matrix + ".input", in, rotated ? nash_swarm::InputBasis::widest_rotation(in) : 0, seed);
}

std::vector<double> to_numbers(const LoneMeasurements& measured) {
  std::vector<double> numbers{static_cast<double>(measured.headings.dimension)};
  for (const auto* part : {&measured.losses, &measured.coarse_losses, &measured.headings.coherent,
                           &measured.headings.direction}) {
    numbers.insert(numbers.end(), part->begin(), part->end());
  }
  return numbers;
}

LoneMeasurements from_numbers(const std::vector<double>& numbers, std::size_t matrices) {
  LoneMeasurements measured;
  measured.headings.dimension = static_cast<std::size_t>(numbers.at(0));
  auto next = numbers.begin() + 1;
  for (auto* part : {&measured.losses, &measured.coarse_losses, &measured.headings.coherent}) {
    part->assign(next, next + static_cast<std::ptrdiff_t>(matrices));
    next += static_cast<std::ptrdiff_t>(matrices);
  }
  measured.headings.direction.assign(next, numbers.end());
  return measured;
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

std::vector<nash_swarm::WindowFamily> families_of_profile(std::string_view profile) {
  using nash_swarm::WindowFamily;
  if (profile == "fast") return {WindowFamily::table, WindowFamily::hash16};
  return {WindowFamily::hash32};
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
                     ThreadPool& pool, nash_swarm::Rules rules, const Pieces& pieces)
    : checkpoint_(checkpoint),
      scope_(scope),
      seed_(seed),
      pool_(pool),
      rules_(std::move(rules)),
      pieces_(pieces),
      others_(other_tensors(checkpoint, scope)),
      model_(seed, pieces.windows ? rules_.windows : std::vector<nash_swarm::WindowFamily>{}),
      calibration_(checkpoint, matrices_in_scope(checkpoint, scope), pool) {
  if (!pieces_.windows) rules_.windows.clear();
  for (const auto& matrix : matrices_in_scope(checkpoint, scope)) {
    const std::size_t in = matrix->in_features();
    weights_ += matrix->out_features() * in;
    matrices_.push_back({matrix->name(),
                         matrix->out_features(),
                         in,
                         basis_of(matrix->name(), in, pieces_.rotation, seed + matrices_.size()),
                         {}});
  }
  smallest_ = nash_swarm::packed_model_sizes(nash_swarm::smallest_plan(matrices_, rules_), others_);
}

void Quantizer::calibrate(std::span<const std::int32_t> tokens, const WeightProgress& progress,
                          std::size_t window) {
  window = std::min(window == 0 ? checkpoint_.config().n_ctx : window, tokens.size());
  const auto matrices = matrices_in_scope(checkpoint_, scope_);
  tokens_.assign(tokens.begin(), tokens.end());
  calibration_.gather(tokens, window, store_, progress);
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    const std::string& name = matrices[m]->name();
    const FloatMatrix weights = whole_matrix(*matrices[m], pool_);
    const auto moments = this->moments(name);
    model_.add(name, weights.view(), used_calibration(*moments), matrices_[m].basis, pool_);
  }
  if (!pieces_.measured) return;
  correct_payoffs(
      calibration_windows(tokens, window, measuring_tokens(matrices.size(), weights_, 1536)),
      window);
}

nash_swarm::MatrixCalibration Quantizer::used_calibration(
    const nash_swarm::MatrixMoments& moments) const {
  return pieces_.gradients ? moments.calibration() : nash_swarm::MatrixCalibration(moments.inputs);
}

void Quantizer::correct_payoffs(std::span<const std::int32_t> tokens, std::size_t window) {
  // Errors about as large as those of plans of 3 bits, and of 1.5.
  constexpr std::string_view fine = "b4_l4";
  constexpr std::string_view coarse = "b2_l2";
  const std::vector<nash_swarm::MatrixPlan> fine_plans = in_one_format(matrices_, fine);
  const std::vector<nash_swarm::MatrixPlan> coarse_plans = in_one_format(matrices_, coarse);
  std::vector<LonePlans> plans;
  for (std::size_t m = 0; m < matrices_.size(); ++m) {
    plans.push_back({{fine_plans[m], fine_plans[m]}, coarse_plans[m]});
    plans.back().seeds[1].basis = basis_of(matrices_[m].name, matrices_[m].in_features,
                                           pieces_.rotation, seed_ + matrices_.size() + m);
  }
  const LoneMeasurements errors = measured_alone(plans, tokens, window);
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
  model_.couple(errors.headings);
}

LoneMeasurements Quantizer::measured_alone(const std::vector<LonePlans>& plans,
                                           std::span<const std::int32_t> tokens,
                                           std::size_t window) const {
  nash_swarm::Fingerprint inputs;
  inputs.add(std::as_bytes(tokens));
  inputs.add(std::uint64_t{window});
  for (const LonePlans& matrix : plans) {
    for (const nash_swarm::MatrixPlan& plan : matrix.seeds) inputs.add(fingerprint(plan));
    inputs.add(fingerprint(matrix.coarse));
  }
  const char* const name = "lone_errors";
  if (store_.folder != nullptr) {
    if (const auto numbers = store_.folder->numbers(name, inputs.value())) {
      return from_numbers(*numbers, plans.size());
    }
  }
  const LoneErrors errors =
      lone_errors(checkpoint_, plans, tokens, window, pool_,
                  [this](const nash_swarm::MatrixPlan& plan) { return pack(plan); });
  LoneMeasurements measured{errors.losses, errors.coarse_losses, errors.products.headings()};
  if (store_.folder != nullptr) {
    store_.folder->store_numbers(name, to_numbers(measured), inputs.value());
  }
  return measured;
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
  for (const nash_swarm::MatrixPlan& plan : plans) packed.push_back(this->packed(plan));
  const Model reference = make_float_model(checkpoint_, false);
  const Model model = make_packed_model(checkpoint_, packed);
  const Model* const models[] = {&reference, &model};
  return evaluate(models, true, text, pool_).back().kld.value();
}

nash_swarm::PackedMatrix Quantizer::pack(const nash_swarm::MatrixPlan& plan) const {
  const FloatMatrix weights = whole_matrix(*checkpoint_.matrix(plan.name), pool_);
  if (!pieces_.feedback) {
    return nash_swarm::round_to_nearest(plan.name, weights.view(), plan.basis, plan.cells, pool_);
  }
  const auto moments = this->moments(plan.name);
  return nash_swarm::pack(weights.view(), plan, used_calibration(*moments), pool_);
}

nash_swarm::PackedMatrix Quantizer::packed(const nash_swarm::MatrixPlan& plan) const {
  if (store_.folder == nullptr) return pack(plan);
  const std::uint64_t inputs = fingerprint(plan);
  if (auto stored = store_.folder->packed(plan, inputs)) return std::move(*stored);
  nash_swarm::PackedMatrix made = pack(plan);
  store_.folder->store_packed(plan, made, inputs);
  return made;
}

std::uint64_t Quantizer::fingerprint(const nash_swarm::MatrixPlan& plan) const {
  nash_swarm::Fingerprint fingerprint;
  fingerprint.add(program_fingerprint());
  fingerprint.add(calibration_.fingerprint());
  fingerprint.add(plan.name);
  fingerprint.add(plan.basis->sign_seed());
  fingerprint.add(std::uint64_t{plan.basis->rotation_block()});
  fingerprint.add(std::uint64_t{pieces_.feedback});
  fingerprint.add(std::uint64_t{pieces_.gradients});
  fingerprint.add(std::as_bytes(std::span(plan.basis->permutation())));
  for (std::size_t p = 0; p < plan.cells.panels(); ++p) {
    fingerprint.add(std::as_bytes(plan.cells.panel(p)));
  }
  return fingerprint.value();
}

nash_swarm::Plan Quantizer::plan(const nash_swarm::Budget& budget) const {
  if (!pieces_.cells) return allocate_whole_matrices(model_, matrices_, budget, rules_);
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
                                   nash_swarm::PackedMatrix done = packed(matrix);
                                   progress(matrix.out_features * matrix.in_features);
                                   return done;
                                 });
}

FinishResult Quantizer::write_finished(const nash_swarm::Plan& plan,
                                       const std::filesystem::path& target,
                                       const WeightProgress& progress,
                                       const FinishObserver& observer) const {
  std::vector<nash_swarm::PackedMatrix> matrices;
  for (const nash_swarm::MatrixPlan& matrix : plan.matrices()) {
    matrices.push_back(packed(matrix));
    progress(matrix.out_features * matrix.in_features);
  }
  FinishResult result = finish(checkpoint_, std::move(matrices), tokens_, pool_, observer);
  auto next = result.matrices.begin();
  nash_swarm::write_packed_model(target, plan.matrices(), with_values(others_, result.tensors),
                                 [&](const nash_swarm::MatrixPlan&) { return *next++; });
  return result;
}

}  // namespace gpt2
