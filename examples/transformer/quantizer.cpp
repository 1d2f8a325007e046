#include "transformer/quantizer.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "transformer/calibration_text.hpp"
#include "transformer/evaluation.hpp"
#include "transformer/float_matrix.hpp"
#include "transformer/lone_measurements.hpp"
#include "transformer/other_tensors.hpp"
#include "transformer/packed.hpp"
#include "transformer/whole_matrices.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::ThreadPool;

/// Tokens of text on which so many models are measured: the more there are, and the larger, the
/// fewer each gets.
std::size_t measuring_tokens(std::size_t models, std::size_t weights, std::size_t most) {
  constexpr std::size_t fewest = 256;
  constexpr std::size_t products = 300'000'000'000;
  return std::clamp(products / (models * weights), fewest, most);
}

/// The matrices with all their cells in one format.
std::vector<nash_swarm::MatrixPlan> in_one_format(std::vector<nash_swarm::MatrixPlan> matrices,
                                                  std::string_view format) {
  const nash_swarm::FormatId id = nash_swarm::format_table[nash_swarm::format_index(format)].id;
  for (nash_swarm::MatrixPlan& matrix : matrices) {
    matrix.cells = nash_swarm::CellMap(nash_swarm::panel_count(matrix.out_features),
                                       nash_swarm::block_count(matrix.in_features), id);
  }
  return matrices;
}

std::shared_ptr<const nash_swarm::InputBasis> basis_of(const std::string& matrix, std::size_t in,
                                                       bool rotated, std::uint64_t seed) {
  return std::make_shared<const nash_swarm::InputBasis>(
      matrix + ".input", in, rotated ? nash_swarm::InputBasis::widest_rotation(in) : 0, seed);
}

}  // namespace

std::vector<nash_swarm::WindowFamily> families_of_profile(std::string_view profile) {
  using nash_swarm::WindowFamily;
  if (profile == "fast") return {WindowFamily::sum};
  return {WindowFamily::hash32};
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
      calibration_(checkpoint, matrices_in_scope(checkpoint, scope), pool),
      packer_(checkpoint, calibration_, pieces, pool) {
  if (!pieces_.windows) rules_.windows.clear();
  std::optional<std::size_t> input;
  for (const auto& matrix : matrices_in_scope(checkpoint, scope)) {
    const MatrixShape& shape = checkpoint.shape(matrix->name());
    weights_ += shape.out * shape.in;
    // Matrices that read the same input share its basis, so that it is rotated and rounded once.
    const auto basis = input == shape.input ? matrices_.back().basis
                                            : basis_of(shape.name, shape.in, pieces_.rotation,
                                                       seed + matrices_.size());
    input = shape.input;
    matrices_.push_back({shape.name, shape.out, shape.in, basis, {}});
  }
  smallest_ = nash_swarm::packed_model_sizes(nash_swarm::smallest_plan(matrices_, rules_), others_);
}

void Quantizer::calibrate(std::span<const std::int32_t> tokens, const WeightProgress& progress,
                          std::size_t window) {
  window = std::min(window == 0 ? checkpoint_.config().n_ctx : window, tokens.size());
  const auto matrices = matrices_in_scope(checkpoint_, scope_);
  tokens_.assign(tokens.begin(), tokens.end());
  calibration_.gather(tokens, window, store_, progress);
  const auto orders = given_orders();
  for (std::size_t m = 0; m < matrices.size(); ++m) {
    const std::string& name = matrices[m]->name();
    const FloatMatrix weights = read_matrix(*matrices[m], pool_);
    const auto moments = this->moments(name);
    model_.add(name, weights.view(), packer_.used_calibration(*moments), matrices_[m].basis, pool_,
               1.0, orders[m]);
    matrices_[m].order = model_.matrices()[m].payoff.order;
  }
  smallest_ = nash_swarm::packed_model_sizes(nash_swarm::smallest_plan(matrices_, rules_), others_);
  if (!pieces_.measured) return;
  const std::size_t measured = measuring_tokens(matrices.size(), weights_, 1536);
  window = std::min(window, measured);
  correct_payoffs(calibration_windows(tokens, window, measured), window);
}

std::vector<std::optional<nash_swarm::RowOrder>> Quantizer::given_orders() const {
  std::vector<std::string> names;
  for (const nash_swarm::MatrixPlan& matrix : matrices_) names.push_back(matrix.name);
  const std::vector<std::vector<std::uint32_t>> formats = allowed_formats(rules_, names);
  std::vector<std::optional<nash_swarm::RowOrder>> orders(matrices_.size());
  for (std::size_t m = 0; m < orders.size(); ++m) {
    // Rows that all have one format are alike in any order.
    const bool choice = pieces_.order && pieces_.cells && formats[m].size() > 1;
    if (!choice) orders[m] = nash_swarm::RowOrder();
    if (!orders_.empty()) orders[m] = orders_.at(m);
  }
  return orders;
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
  const LoneMeasurements errors =
      measured_alone(checkpoint_, plans, tokens, window, packer_, store_.folder, pool_);
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
  for (const nash_swarm::MatrixPlan& plan : plans) packed.push_back(packer_.packed(plan));
  const Model reference = make_float_model(checkpoint_, false);
  const Model model = make_packed_model(checkpoint_, packed);
  const Model* const models[] = {&reference, &model};
  return evaluate(models, true, text, pool_).back().kld.value();
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
                                   nash_swarm::PackedMatrix done = packer_.packed(matrix);
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
    matrices.push_back(packer_.packed(matrix));
    progress(matrix.out_features * matrix.in_features);
  }
  FinishResult result = finish(checkpoint_, std::move(matrices), tokens_, pool_, observer);
  auto next = result.matrices.begin();
  nash_swarm::write_packed_model(target, plan.matrices(), with_values(others_, result.tensors),
                                 [&](const nash_swarm::MatrixPlan&) { return *next++; });
  return result;
}

}  // namespace transformer
