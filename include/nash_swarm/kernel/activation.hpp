#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/input_basis.hpp>

namespace nash_swarm {

/// Codes of a token for the kernels: in their order, by lanes, and by pairs of tiles.
struct LaneInputs {
  const std::int8_t* codes;
  const std::int8_t* lanes;
  const std::int8_t* pairs;
};

/// Inputs of matrices, brought into an input basis and rounded to 8 bits, ready to be multiplied by
/// every matrix of that basis. Value (token, channel) = scale of (token, block) × code; codes are
/// −127 … 127. A token with NaN or infinity has NaN scales, so that its outputs are NaN.
///
/// Kernels read the codes in two more orders: `lane_codes`, four channels that share the lanes of a
/// vector together (see `lane_channel`), and `pair_codes`, for channels k of two neighbouring tiles
/// k, k, k + 8, k + 8.
class Activations {
 public:
  /// @throws Error if the bytes of so many tokens overflow
  Activations(std::size_t tokens, const InputBasis& basis)
      : tokens_(tokens),
        channels_(basis.padded_features()),
        block_(basis.scale_block()),
        codes_(checked_size(tokens, channels_)),
        lane_codes_(codes_.size()),
        pair_codes_(2 * codes_.size()),
        block_sums_(codes_.size() / block_channels),
        scales_(tokens * (channels_ / block_)) {}

  std::size_t tokens() const noexcept { return tokens_; }
  std::size_t channels() const noexcept { return channels_; }
  /// Channels that share a scale.
  std::size_t scale_block() const noexcept { return block_; }
  std::int8_t* codes(std::size_t token) noexcept { return codes_.data() + token * channels_; }
  const std::int8_t* codes(std::size_t token) const noexcept {
    return codes_.data() + token * channels_;
  }
  const std::int8_t* lane_codes(std::size_t token) const noexcept {
    return lane_codes_.data() + token * channels_;
  }
  /// Sums of the codes of blocks of 64 channels.
  const std::int32_t* block_sums(std::size_t token) const noexcept {
    return block_sums_.data() + token * (channels_ / block_channels);
  }
  /// The codes of a token from a block on, in all orders.
  LaneInputs lane_inputs(std::size_t token, std::size_t block) const noexcept {
    const std::size_t first = token * channels_ + block * block_channels;
    return {codes_.data() + first, lane_codes_.data() + first, pair_codes_.data() + 2 * first};
  }
  /// Brings the codes of a token, which must be complete, into the orders of the kernels.
  void arrange(std::size_t token) noexcept {
    for (std::size_t first = 0; first < channels_; first += block_channels) {
      const std::size_t place = token * channels_ + first;
      const std::int8_t* source = codes_.data() + place;
      std::int8_t* lane = lane_codes_.data() + place;
      std::int8_t* pair = pair_codes_.data() + 2 * place;
      std::int32_t sum = 0;
      for (std::size_t i = 0; i < block_channels; ++i) {
        sum += source[i];
        lane[i] = source[32 * (i / 32) + 8 * (i % 4) + i % 32 / 4];
      }
      for (std::size_t i = 0; i < block_channels / 2; ++i) {
        const std::size_t k = 16 * (i / 8) + i % 8;
        pair[4 * i] = pair[4 * i + 1] = source[k];
        pair[4 * i + 2] = pair[4 * i + 3] = source[k + 8];
      }
      block_sums_[place / block_channels] = sum;
    }
  }
  float* scales(std::size_t token) noexcept {
    return scales_.data() + token * (channels_ / block_);
  }
  const float* scales(std::size_t token) const noexcept {
    return scales_.data() + token * (channels_ / block_);
  }

 private:
  static std::size_t checked_size(std::size_t tokens, std::size_t channels) {
    if (tokens > std::numeric_limits<std::size_t>::max() / channels) {
      throw Error("activations", std::to_string(tokens) + " tokens of " + std::to_string(channels) +
                                     " channels overflow");
    }
    return tokens * channels;
  }

  std::size_t tokens_;
  std::size_t channels_;
  std::size_t block_;
  AlignedBuffer<std::int8_t> codes_;
  AlignedBuffer<std::int8_t> lane_codes_;
  AlignedBuffer<std::int8_t> pair_codes_;
  AlignedBuffer<std::int32_t> block_sums_;
  AlignedBuffer<float> scales_;
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// Nearest integer, ties to even, for |value| < 2^51, without a call into the C library: adding and
/// taking away 1.5 · 2^52 leaves no bits below the point.
inline std::int8_t round_to_code(float value) noexcept {
  constexpr double magic = 6755399441055744.0;
  return static_cast<std::int8_t>((static_cast<double>(value) + magic) - magic);
}

/// Largest magnitude, or NaN if a value is NaN or infinite.
inline float finite_magnitude(const float* values, std::size_t count) noexcept {
  float largest = 0.0f;
  float poison = 0.0f;  // x · 0 is NaN for infinity and NaN, and sums keep it
  for (std::size_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(values[i]);
    largest = magnitude > largest ? magnitude : largest;
    poison += values[i] * 0.0f;
  }
  return poison == 0.0f ? largest : std::numeric_limits<float>::quiet_NaN();
}

/// Rounds one block; returns the scale before the factor of the rotation.
inline float quantize_block(const float* values, std::size_t count, std::int8_t* codes) noexcept {
  const float largest = finite_magnitude(values, count);
  const float inverse = 127.0f / largest;
  if (!(largest > 0.0f) || !std::isfinite(inverse)) {  // all (almost) zero, or not finite
    for (std::size_t i = 0; i < count; ++i) codes[i] = 0;
    return largest > 0.0f ? 0.0f : largest;
  }
  for (std::size_t i = 0; i < count; ++i) {
    // The product may round up to just above 127, never to 127.5.
    codes[i] = round_to_code(values[i] * inverse);
  }
  return largest / 127.0f;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Brings inputs x [tokens, in] into the basis and rounds them to 8 bits, one scale per token and
/// block. Do it once for all matrices that read the same input.
/// @throws Error if the shape does not fit the basis
template <Executor E>
Activations quantize_activations(const InputBasis& basis, TensorView<const float, 2> x,
                                 E& executor) {
  if (x.extent(1) != basis.in_features()) {
    throw Error(basis.name(),
                "input of " + std::to_string(x.extent(1)) + " channels for a basis of " +
                    std::to_string(basis.in_features()),
                "pass x as [tokens, in_features]");
  }
  Activations activations(x.extent(0), basis);
  constexpr std::size_t tokens_per_task = 8;
  const std::size_t tasks = (x.extent(0) + tokens_per_task - 1) / tokens_per_task;
  executor.run(tasks, [&](std::size_t task) {
    AlignedBuffer<float> row(basis.padded_features());
    const std::size_t block = basis.scale_block();
    for (std::size_t t = task * tokens_per_task;
         t < x.extent(0) && t < (task + 1) * tokens_per_task; ++t) {
      to_basis_unscaled(basis, x.data() + t * x.stride(0), x.stride(1), row.data());
      for (std::size_t b = 0; b * block < basis.padded_features(); ++b) {
        activations.scales(t)[b] = detail::quantize_block(row.data() + b * block, block,
                                                          activations.codes(t) + b * block) *
                                   basis.rotation_scale();
      }
      activations.arrange(t);
    }
  });
  return activations;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
