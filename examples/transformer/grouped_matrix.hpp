#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include <nash_swarm/calibration/input_moment.hpp>

#include "transformer/baseline_source.hpp"

namespace transformer {

/// Grid of one group of weights: w ≈ scale · (code − zero) with codes 0 … largest_code.
struct GroupGrid {
  float scale = 0.0f;
  float zero = 0.0f;

  /// The code of the level nearest to a weight.
  std::uint8_t code(float weight, int largest_code) const noexcept;
  float value(std::uint8_t code) const noexcept {
    return scale * (static_cast<float>(code) - zero);
  }
};

/// The grid of integer zero point that spans the weights and 0, its scale rounded to binary16; the
/// span is shrunk to what gives the least squared error, weighed by `importance` if that is given.
/// @param importance [weights] or empty
GroupGrid fit_grid(std::span<const float> weights, std::span<const float> importance,
                   int largest_code);

/// A matrix [out, in] as codes of one byte in memory, with a grid for every `group` channels of a
/// row; channels may be permuted and divided by a scale of their own.
class GroupedMatrix : public DerivedWeightSource {
 public:
  GroupedMatrix(std::shared_ptr<const WeightSource> original, unsigned bits, std::size_t group);

  int largest_code() const noexcept { return (1 << bits_) - 1; }
  std::size_t group() const noexcept { return group_; }
  std::size_t groups() const noexcept { return (in_features() + group_ - 1) / group_; }

  /// Channel at every place of the stored order; empty for the order of the input.
  std::vector<std::uint32_t> order;
  /// Channel k of the stored values is divided by divisor[k]; empty for none.
  std::vector<float> divisor;

  std::span<std::uint8_t> codes(std::size_t row) noexcept {
    return std::span(codes_).subspan(row * in_features(), in_features());
  }
  std::span<GroupGrid> grids(std::size_t row) noexcept {
    return std::span(grids_).subspan(row * groups(), groups());
  }

  void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const override;

  /// All-in bytes: codes, a scale of 16 bits and a zero point of `zero_bits` for every group, two
  /// bytes per channel for an order and for divisors. Every row of codes and zeros starts at a
  /// byte.
  std::uint64_t stored_bytes(unsigned zero_bits) const noexcept;

 private:
  unsigned bits_;
  std::size_t group_;
  std::vector<std::uint8_t> codes_;
  std::vector<GroupGrid> grids_;
};

/// All weights of a matrix in float32.
/// @throws nash_swarm::Error naming the index [out, in] of a NaN or infinity
FloatMatrix read_finite(const WeightSource& source, nash_swarm::ThreadPool& pool);

/// Moments as a matrix [in, in].
Eigen::MatrixXd dense(const nash_swarm::InputMoment& moment);

/// Squared error of the output under the input moment: tr (W − Ŵ) H (W − Ŵ)ᵀ.
/// @param moment H [in, in]
double output_error(const WeightSource& quantized, const FloatMatrix& weights,
                    const Eigen::MatrixXd& moment, nash_swarm::ThreadPool& pool);

/// @throws nash_swarm::Error for bits that are not 2 … 8 or groups of no weights
void check_grid(const std::string& method, unsigned bits, std::size_t group);

/// "gptq 3 bits, groups of 64"
std::string grid_label(const std::string& method, unsigned bits, std::size_t group);

}  // namespace transformer
