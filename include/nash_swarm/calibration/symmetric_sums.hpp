#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/float_product.hpp>
#include <nash_swarm/core/tensor_view.hpp>

namespace nash_swarm {
/// Sums of xᵀx for some groups of rows x [rows, channels]: float32, one triangle of each.
///
/// Channels lie in bands of 64, each as wide as its last channel, so that a product is added to a
/// band whole: band b holds 64 rows (the last one what is left) of min(channels, 64·b + 64) sums.
/// What lies right of the diagonal inside a band is not used. Memory: about 2·channels² bytes for
/// each group.
class SymmetricSums {
 public:
  static constexpr std::size_t band_channels = 64;

  NASH_SWARM_KEYED SymmetricSums(std::size_t groups, std::size_t channels)
      : groups_(groups), channels_(channels), sums_(groups * floats_of_group(channels)) {}

  std::size_t groups() const noexcept { return groups_; }
  std::size_t channels() const noexcept { return channels_; }
  std::size_t bands() const noexcept { return (channels_ + band_channels - 1) / band_channels; }

  /// Number of floats that one group takes.
  NASH_SWARM_KEYED static constexpr std::size_t floats_of_group(std::size_t channels) noexcept {
    const std::size_t whole = channels / band_channels;
    const std::size_t rest = channels % band_channels;
    return band_channels * band_channels * (whole * (whole + 1) / 2) + rest * channels;
  }

  /// The sum for two channels of a group.
  NASH_SWARM_KEYED float operator()(std::size_t group, std::size_t a,
                                    std::size_t b) const noexcept {
    const std::size_t row = std::max(a, b);
    const std::size_t band = row / band_channels;
    return sums_[begin_of(group, band) + row % band_channels * width_of(band) + std::min(a, b)];
  }

  /// Adds xᵀx to one band of a group; bands may be added to at the same time.
  NASH_SWARM_KEYED void add_products(std::size_t group, std::size_t band,
                                     TensorView<const float, 2> x) {
    const std::size_t width = width_of(band);
    const std::size_t first = band * band_channels;
    add_product(x.slice(1, first, width).transposed(), x.slice(1, 0, width),
                TensorView<float, 2>(sums_.data() + begin_of(group, band), {width - first, width}));
  }

  /// Adds the sums of an object of the same shape.
  NASH_SWARM_KEYED void add(const SymmetricSums& other) noexcept {
    for (std::size_t i = 0; i < sums_.size(); ++i) sums_[i] += other.sums_[i];
  }

  /// All sums, group after group, in each band after band.
  std::span<const float> values() const noexcept { return {sums_.data(), sums_.size()}; }
  std::span<float> values() noexcept { return {sums_.data(), sums_.size()}; }

 private:
  NASH_SWARM_KEYED std::size_t begin_of(std::size_t group, std::size_t band) const noexcept {
    return group * floats_of_group(channels_) + floats_of_group(band * band_channels);
  }
  NASH_SWARM_KEYED std::size_t width_of(std::size_t band) const noexcept {
    return std::min(channels_, (band + 1) * band_channels);
  }

  std::size_t groups_;
  std::size_t channels_;
  AlignedBuffer<float> sums_;
};

}  // namespace nash_swarm
