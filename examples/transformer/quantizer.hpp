#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/io/packed_model.hpp>
#include <nash_swarm/model/allocate.hpp>

#include "transformer/calibration.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/evaluation_text.hpp"
#include "transformer/finish.hpp"
#include "transformer/matrix_packer.hpp"
#include "transformer/pieces.hpp"
#include "transformer/prediction.hpp"
#include "transformer/scope.hpp"

namespace transformer {

/// The window codes to choose from: those that lose least, or of the profile "fast" those that are
/// searched fastest.
std::vector<nash_swarm::WindowFamily> families_of_profile(std::string_view profile);

/// Quantizes a checkpoint to packed files: calibrate once, then plan and write for any budget.
class Quantizer {
 public:
  /// @throws nash_swarm::Error for rules that cannot be kept
  Quantizer(const Checkpoint& checkpoint, Scope scope, std::uint64_t seed,
            nash_swarm::ThreadPool& pool, nash_swarm::Rules rules = {}, const Pieces& pieces = {});

  /// Weights of the matrices in the scope.
  std::size_t weights() const noexcept { return weights_; }

  /// Sizes of the smallest file that the rules allow; before the calibration without the orders of
  /// rows that it will find to pay.
  const nash_swarm::PackedModelSizes& smallest() const noexcept { return smallest_; }

  /// From now on keeps there what takes long, and takes from there what fits: moments, losses of
  /// single matrices, packed matrices. The results are the same bytes as without it.
  /// @param store its folder outlives this
  void use(const CalibrationStore& store) {
    store_ = store;
    packer_.use(store.folder);
  }

  /// Leaves rows in the orders of an earlier plan, whatever pays; before the calibration.
  /// @param orders one for each matrix of the scope
  void keep_orders(std::vector<nash_swarm::RowOrder> orders) { orders_ = std::move(orders); }

  /// Runs the float model over windows of `tokens`, forth and back, and gathers what the matrices
  /// read and the gradients of their weights, then what every format would cost and lose.
  /// @param window tokens of a window, at most the model's context; 0: as many
  void calibrate(std::span<const std::int32_t> tokens, const WeightProgress& progress,
                 std::size_t window = 0);

  /// Measures two plans and the unrounded matrices on some of `tokens`, which the calibration
  /// should not have seen, so that `predicted_kld` allows for what the game cannot know.
  void fit_prediction(std::span<const std::int32_t> tokens);

  /// The KLD that is to be expected of a plan, in nats.
  double predicted_kld(const nash_swarm::Plan& plan) const {
    return prediction_(plan.predicted_loss());
  }

  /// @throws nash_swarm::Error if the budget is below the smallest possible, which it names
  nash_swarm::Plan plan(const nash_swarm::Budget& budget) const;

  /// A plan whose file is at most `file_bytes` long.
  nash_swarm::Plan plan_for_file(std::uint64_t file_bytes) const;

  /// A plan of given cells, one map for each matrix of the scope in its order.
  /// @param budget raised to the bytes of the cells if it is smaller
  /// @throws nash_swarm::Error if they do not fit the matrices or the rules
  nash_swarm::Plan plan_of(const std::vector<nash_swarm::CellMap>& cells, std::uint64_t budget,
                           double price, std::span<const double> y = {}) const;

  /// The matrices of the scope with their bases and, once they are calibrated, the orders of their
  /// rows; their cells are empty.
  const std::vector<nash_swarm::MatrixPlan>& matrices() const noexcept { return matrices_; }

  /// What the game knows of the matrices, once they are calibrated.
  const nash_swarm::Model& model() const noexcept { return model_; }

  /// Moments of a matrix, once it is calibrated.
  std::shared_ptr<const nash_swarm::MatrixMoments> moments(const std::string& matrix) const {
    return calibration_.moments(matrix);
  }

  /// Sizes of the file that `write` would write.
  nash_swarm::PackedModelSizes sizes(const nash_swarm::Plan& plan) const;

  /// Packs every matrix and writes the file; nothing is left half-written.
  void write(const nash_swarm::Plan& plan, const std::filesystem::path& target,
             const WeightProgress& progress) const;

  /// The same with row scales, biases and norms tuned on the calibration text once all matrices
  /// are packed; no size changes.
  /// @return held-out divergence before and after
  FinishResult write_finished(const nash_swarm::Plan& plan, const std::filesystem::path& target,
                              const WeightProgress& progress, const FinishObserver& observer) const;

  /// Packs one matrix.
  nash_swarm::PackedMatrix pack(const nash_swarm::MatrixPlan& plan) const {
    return packer_.pack(plan);
  }

 private:
  /// Orders of rows that are not for the calibration to decide, one for each matrix.
  std::vector<std::optional<nash_swarm::RowOrder>> given_orders() const;
  /// Replaces what is assumed of the importance of every matrix, and of how they disturb each
  /// other, by what is measured.
  void correct_payoffs(std::span<const std::int32_t> tokens, std::size_t window);
  /// KLD of the model with all matrices of the scope packed.
  double measured_kld(const std::vector<nash_swarm::MatrixPlan>& plans,
                      const EvaluationText& text) const;

  const Checkpoint& checkpoint_;
  Scope scope_;
  std::uint64_t seed_;
  nash_swarm::ThreadPool& pool_;
  nash_swarm::Rules rules_;
  Pieces pieces_;
  std::size_t weights_ = 0;
  std::vector<nash_swarm::MatrixPlan> matrices_;
  std::vector<nash_swarm::RowOrder> orders_;  // to be kept; empty for none
  std::vector<nash_swarm::OtherTensor> others_;
  nash_swarm::PackedModelSizes smallest_;
  nash_swarm::Model model_;
  std::vector<std::int32_t> tokens_;  // of the calibration text
  CalibrationStore store_;
  Calibration calibration_;
  MatrixPacker packer_;
  Prediction prediction_;
};

}  // namespace transformer
