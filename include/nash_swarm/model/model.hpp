#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/measured_headings.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/model/payoff.hpp>

namespace nash_swarm {

/// What the game needs to know of a matrix.
struct ModelMatrix {
  std::string name;
  std::size_t out_features = 0;
  std::size_t in_features = 0;
  std::shared_ptr<const InputBasis> basis;
  MatrixPayoff payoff;

  std::uint64_t weights() const noexcept { return std::uint64_t{out_features} * in_features; }
  std::size_t panels() const noexcept { return panel_count(out_features); }
  std::size_t blocks() const noexcept { return block_count(in_features); }
};

/// The matrices of a model, as the game sees them. Weights are read once, when a matrix is added,
/// and not kept, so a model can be streamed matrix by matrix.
class Model {
 public:
  /// @param seed decides the signs of every rotation
  /// @param families of window codes that plans may choose from (see Rules)
  NASH_SWARM_KEYED explicit Model(std::uint64_t seed = 0,
                                  std::vector<WindowFamily> families = {WindowFamily::hash32})
      : seed_(seed), families_(std::move(families)) {}

  /// A basis for an input that several matrices read, such as queries, keys and values: added with
  /// it, each still has a plan and a scale of its own, while the basis is stored once, and
  /// `quantize_activations` rounds the input once for all their products.
  /// @param name that no other basis has
  NASH_SWARM_KEYED std::shared_ptr<const InputBasis> input_basis(std::string name,
                                                                 std::size_t in_features) const {
    return std::make_shared<const InputBasis>(std::move(name), in_features,
                                              InputBasis::widest_rotation(in_features),
                                              seed_ + matrices_.size());
  }

  /// Adds a matrix with a basis of its own.
  /// @param weights [out, in]
  /// @param calibration input moments that have seen nothing stand for H = I; those that have seen
  /// nothing but zeros say that no error matters, and the matrix gets the fewest bytes
  /// @param importance how much more the model suffers from a relative error of this matrix's
  /// output than the number of its weights tells; a factor on what gradients say if there are any.
  /// `data_free_importance` is one that needs no data. Without gradients the matrix that makes the
  /// logits deserves more: 5 takes the KLD of the bundled GPT-2 from .143 to .072 at 2.5 bits and
  /// from .048 to .022 at 3, of OPT from .039 to .022 and from .018 to .007; LLaMA, whose embedding
  /// is another matrix, loses a tenth
  /// @throws Error for a name used twice, or as `matrix_payoff` does
  NASH_SWARM_FUNCTION NASH_SWARM_KEYED void add(const std::string& name,
                                                TensorView<const float, 2> weights,
                                                const MatrixCalibration& calibration,
                                                ExecutorView executor, double importance = 1.0) {
    add(name, weights, calibration, input_basis(name + ".input", weights.extent(1)), executor,
        importance);
  }

  /// Adds a matrix that reads its input in a given basis, which other matrices may share; see
  /// `input_basis`.
  /// @param order of the rows in the panels, for instance that of an earlier plan; if none is
  /// given, rows are sorted where that pays
  NASH_SWARM_FUNCTION NASH_SWARM_KEYED void add(const std::string& name,
                                                TensorView<const float, 2> weights,
                                                const MatrixCalibration& calibration,
                                                std::shared_ptr<const InputBasis> basis,
                                                ExecutorView executor, double importance = 1.0,
                                                std::optional<RowOrder> order = std::nullopt) {
    for (const ModelMatrix& matrix : matrices_) {
      if (matrix.name == name) throw Error(name, "a matrix of this name was added before");
    }
    if (!basis) throw Error(name, "no input basis", "make one with Model::input_basis");
    if (weights.extent(0) == 0) throw Error(name, "a matrix of 0 rows", "leave it out");
    ModelMatrix matrix;
    matrix.name = name;
    matrix.out_features = weights.extent(0);
    matrix.in_features = weights.extent(1);
    matrix.payoff = matrix_payoff(name, weights, calibration, *basis, importance, executor,
                                  families_, std::move(order));
    matrix.basis = std::move(basis);
    matrices_.push_back(std::move(matrix));
  }

  /// Multiplies the expected losses of a matrix by a factor: what was measured with this matrix
  /// alone quantized, divided by what was expected.
  /// @throws Error for an unknown name, or a factor that is not positive and finite
  NASH_SWARM_KEYED void correct(std::string_view name, double factor) {
    MatrixPayoff& payoff = payoff_of(name);
    if (!(factor > 0.0) || !std::isfinite(factor)) {
      throw Error(std::string(name), "a correction of " + std::to_string(factor),
                  "give a positive number");
    }
    for (double& energy : payoff.panel_energy) energy *= factor;
  }

  /// Corrects the expected losses of a matrix by what was measured in some formats, from coarse to
  /// fine if errors of all sizes are to be told well.
  /// @throws Error for an unknown name, no format, or where measured or expected loss is not
  ///         positive and finite
  NASH_SWARM_KEYED void correct(std::string_view name, std::span<const LoneLoss> measured) {
    MatrixPayoff& payoff = payoff_of(name);
    if (measured.empty()) throw Error(std::string(name), "no format was measured");
    for (const LoneLoss& lone : measured) {
      const bool known = lone.format < format_count && payoff.loss(lone.format) > 0.0;
      if (known && lone.loss > 0.0 && std::isfinite(lone.loss)) continue;
      throw Error(std::string(name),
                  "format " + std::to_string(lone.format) + " was measured to lose " +
                      std::to_string(lone.loss),
                  "leave it out unless it loses something");
    }
    payoff.correct(measured);
  }

  /// States how matrices disturb each other; with a dimension of 0 they do not.
  /// @param headings of all matrices, in their order
  /// @throws Error if they do not fit the matrices
  NASH_SWARM_KEYED void couple(MeasuredHeadings headings) {
    if (headings.coherent.size() != matrices_.size() ||
        headings.direction.size() != matrices_.size() * headings.dimension) {
      throw Error("headings", "they do not fit " + std::to_string(matrices_.size()) + " matrices",
                  "add all matrices first");
    }
    headings_ = std::move(headings);
  }

  const std::vector<ModelMatrix>& matrices() const noexcept { return matrices_; }
  const MeasuredHeadings& headings() const noexcept { return headings_; }
  bool coupled() const noexcept { return headings_.dimension != 0; }

  /// Number of weights of all matrices.
  NASH_SWARM_KEYED std::uint64_t weights() const noexcept {
    std::uint64_t count = 0;
    for (const ModelMatrix& matrix : matrices_) count += matrix.weights();
    return count;
  }

 private:
  NASH_SWARM_KEYED MatrixPayoff& payoff_of(std::string_view name) {
    const auto found = std::find_if(matrices_.begin(), matrices_.end(),
                                    [&](const ModelMatrix& matrix) { return matrix.name == name; });
    if (found == matrices_.end()) throw Error(std::string(name), "not in the model");
    return found->payoff;
  }

  std::uint64_t seed_;
  std::vector<WindowFamily> families_;
  std::vector<ModelMatrix> matrices_;
  MeasuredHeadings headings_;
};

}  // namespace nash_swarm
