#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <nash_swarm/core/fingerprint.hpp>
#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/result.hpp>
#include <nash_swarm/core/smaller.hpp>
#include <nash_swarm/format/hadamard.hpp>
#include <nash_swarm/format/panel.hpp>

namespace nash_swarm {

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// One random bit per channel: the top bit of SplitMix64 (Steele, Lea and Flood 2014).
inline std::vector<float> random_signs(std::size_t channels, std::uint64_t seed) {
  std::vector<float> signs(channels);
  for (float& sign : signs) {
    seed += 0x9e3779b97f4a7c15u;
    std::uint64_t mixed = (seed ^ (seed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    sign = ((mixed ^ (mixed >> 31)) >> 63) != 0 ? -1.0f : 1.0f;
  }
  return signs;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

/// The basis in which a matrix is stored and its input is given to the kernels: channels permuted,
/// padded with zeros to a multiple of 64, given random signs and rotated block by block by an
/// orthonormal Walsh-Hadamard transform (incoherence processing: Chee et al. 2023, QuIP; Tseng et
/// al. 2024, QuIP#, section 3). With R the whole map, W' = W·R and x' = Rᵀx, so W'x' = Wx.
/// All matrices that read the same input can share one basis; it is stored and counted once.
class InputBasis {
 public:
  /// @param name names the basis in messages and files
  /// @param in_features number of input channels
  /// @param rotation_block 64, 128 or 256, dividing the padded channels; 0 for no rotation
  /// @param sign_seed seed of the signs; without a rotation there are no signs
  /// @param permutation channel j of the basis is input channel permutation[j]; empty for none
  /// @throws Error if the parts do not fit together
  NASH_SWARM_KEYED InputBasis(std::string name, std::size_t in_features, std::size_t rotation_block,
                              std::uint64_t sign_seed, std::vector<std::uint32_t> permutation = {})
      : InputBasis(detail::value_or_raise(try_load(std::move(name), in_features, rotation_block,
                                                   sign_seed, std::move(permutation)))) {}

  NASH_SWARM_KEYED_COPIES(InputBasis);

  /// The same, or the error instead of throwing it.
  NASH_SWARM_KEYED static Result<InputBasis> try_load(std::string name, std::size_t in_features,
                                                      std::size_t rotation_block,
                                                      std::uint64_t sign_seed,
                                                      std::vector<std::uint32_t> permutation = {}) {
    InputBasis basis;
    basis.name_ = std::move(name);
    basis.in_features_ = in_features;
    basis.padded_ = round_up(in_features, block_channels);
    basis.rotation_block_ = rotation_block;
    basis.sign_seed_ = sign_seed;
    basis.permutation_ = std::move(permutation);
    if (std::optional<Error> error = basis.misfit()) return *std::move(error);
    if (rotation_block != 0) basis.signs_ = detail::random_signs(basis.padded_, sign_seed);
    basis.fingerprint_ = basis.fingerprint_of_parts();
    return basis;
  }

  const std::string& name() const noexcept { return name_; }
  std::size_t in_features() const noexcept { return in_features_; }
  /// Channels of the basis: in_features rounded up to a multiple of 64.
  std::size_t padded_features() const noexcept { return padded_; }
  std::size_t rotation_block() const noexcept { return rotation_block_; }
  std::uint64_t sign_seed() const noexcept { return sign_seed_; }
  const std::vector<std::uint32_t>& permutation() const noexcept { return permutation_; }
  /// +1 or −1 for every channel of the basis; empty without a rotation.
  const std::vector<float>& signs() const noexcept { return signs_; }
  /// The same for bases of the same parts, whatever their names; see `Fingerprint`.
  std::uint64_t fingerprint() const noexcept { return fingerprint_; }

  static constexpr std::size_t most_scale_block = 256;
  /// Channels that share one activation scale: a rotated block, or 64 without a rotation.
  std::size_t scale_block() const noexcept {
    return rotation_block_ == 0 ? block_channels : rotation_block_;
  }
  /// Length of the transform's rows: 1 / sqrt(rotation_block).
  NASH_SWARM_KEYED float rotation_scale() const noexcept {
    switch (rotation_block_) {  // without std::sqrt, since <cmath> takes long to compile
      case 64:
        return 1.0f / 8.0f;
      case 128:
        return std::numbers::sqrt2_v<float> / 16.0f;
      case 256:
        return 1.0f / 16.0f;
      default:
        return 1.0f;
    }
  }

  /// Bytes of one entry of the stored permutation.
  static constexpr std::size_t permutation_entry_bytes(std::size_t in_features) noexcept {
    return in_features <= 65536 ? 2 : 4;
  }
  /// Bytes stored for the basis: the seed if there is a rotation, the permutation if there is one.
  NASH_SWARM_KEYED std::size_t stored_bytes() const noexcept {
    return (rotation_block_ == 0 ? 0 : sizeof(sign_seed_)) +
           permutation_.size() * permutation_entry_bytes(in_features_);
  }

  /// Largest rotation block (256, 128 or 64) that divides the padded channels.
  NASH_SWARM_KEYED static constexpr std::size_t widest_rotation(std::size_t in_features) noexcept {
    const std::size_t padded = round_up(in_features, block_channels);
    return padded % 256 == 0 ? 256 : padded % 128 == 0 ? 128 : 64;
  }

 private:
  NASH_SWARM_KEYED InputBasis() = default;

  NASH_SWARM_KEYED std::uint64_t fingerprint_of_parts() const noexcept {
    Fingerprint fingerprint;
    fingerprint.add(std::uint64_t{in_features_});
    fingerprint.add(std::uint64_t{rotation_block_});
    fingerprint.add(rotation_block_ == 0 ? 0 : sign_seed_);
    fingerprint.add(std::as_bytes(std::span(permutation_)));
    return fingerprint.value();
  }

  /// What does not fit of the parts.
  NASH_SWARM_KEYED std::optional<Error> misfit() const {
    if (in_features_ == 0) return Error(name_, "a basis of 0 channels");
    if (in_features_ > std::numeric_limits<std::uint32_t>::max()) {
      return Error(name_, "more than 2^32 − 1 input channels");
    }
    const bool known = rotation_block_ == 0 || rotation_block_ == 64 || rotation_block_ == 128 ||
                       rotation_block_ == 256;
    if (!known || (rotation_block_ != 0 && padded_ % rotation_block_ != 0)) {
      return Error(name_,
                   "rotation block " + std::to_string(rotation_block_) + " for " +
                       std::to_string(padded_) + " channels",
                   "use 0, 64, 128 or 256, a divisor of the padded channels");
    }
    if (permutation_.empty()) return std::nullopt;
    if (permutation_.size() != in_features_) {
      return Error(name_, "permutation of " + std::to_string(permutation_.size()) +
                              " entries for " + std::to_string(in_features_) + " channels");
    }
    std::vector<bool> seen(in_features_);
    for (std::size_t j = 0; j < permutation_.size(); ++j) {
      const std::uint32_t channel = permutation_[j];
      if (channel >= in_features_ || seen[channel]) {
        return Error(name_, "permutation entry " + std::to_string(j) + " is " +
                                std::to_string(channel) + ", out of range or used twice");
      }
      seen[channel] = true;
    }
    return std::nullopt;
  }

  std::string name_;
  std::size_t in_features_ = 0;
  std::size_t padded_ = 0;
  std::size_t rotation_block_ = 0;
  std::uint64_t sign_seed_ = 0;
  std::vector<std::uint32_t> permutation_;
  std::vector<float> signs_;
  std::uint64_t fingerprint_ = 0;
};

inline namespace NASH_SWARM_TARGET {

/// Maps a block of `scale_block()` channels of one row or input into the basis; see
/// `to_basis_unscaled`.
/// @param source the whole row
/// @param target scale_block values
inline void block_to_basis_unscaled(const InputBasis& basis, std::size_t block, const float* source,
                                    std::size_t stride, float* target,
                                    const detail::Rotation& rotation) noexcept {
  const std::size_t size = basis.scale_block();
  const std::size_t first = block * size;
  const std::size_t given =
      detail::smaller(size, basis.in_features() - first);  // less than 64 are padding
  const bool is_rotated = basis.rotation_block() != 0;
  const float* const signs = basis.signs().data() + first;
  if (is_rotated && basis.permutation().empty() && stride == 1 && given == size) {
    return rotation.rotate(source + first, signs, target, size);
  }
  if (!basis.permutation().empty()) {
    const std::uint32_t* channels = basis.permutation().data() + first;
    for (std::size_t j = 0; j < given; ++j) target[j] = source[channels[j] * stride];
  } else if (stride == 1) {
    std::memmove(target, source + first, given * sizeof(float));
  } else {
    for (std::size_t j = 0; j < given; ++j) target[j] = source[(first + j) * stride];
  }
  for (std::size_t j = given; j < size; ++j) target[j] = 0.0f;
  if (is_rotated) rotation.rotate(target, signs, target, size);
}

/// Maps one row of a weight matrix or one input into the basis, except for the factor
/// `rotation_scale()`, which the caller folds into a scale. Every instruction set gives the same
/// bits.
/// @param source in_features values, `stride` elements apart
/// @param target padded_features values
/// @param set one that this machine has
inline void to_basis_unscaled(const InputBasis& basis, const float* source, std::size_t stride,
                              float* target,
                              InstructionSet set = default_instruction_set()) noexcept {
  const detail::Rotation& rotation = detail::rotation_for(set);
  const std::size_t size = basis.scale_block();
  for (std::size_t block = 0; block * size < basis.padded_features(); ++block) {
    block_to_basis_unscaled(basis, block, source, stride, target + block * size, rotation);
  }
}

/// Maps a block of `scale_block()` channels of one row back from the basis; see `from_basis`.
/// @param values scale_block values in the basis; used as scratch
/// @param target the whole row
inline void block_from_basis(const InputBasis& basis, std::size_t block, float* values,
                             float* target, std::size_t stride,
                             const detail::Rotation& rotation) noexcept {
  const std::size_t size = basis.scale_block();
  const std::size_t first = block * size;
  const std::size_t wanted = detail::smaller(size, basis.in_features() - first);
  if (basis.rotation_block() != 0) {
    rotation.rotate_back(values, basis.signs().data() + first, basis.rotation_scale(), size);
  }
  if (!basis.permutation().empty()) {
    const std::uint32_t* channels = basis.permutation().data() + first;
    for (std::size_t j = 0; j < wanted; ++j) target[channels[j] * stride] = values[j];
  } else if (stride == 1) {
    std::memmove(target + first, values, wanted * sizeof(float));
  } else {
    for (std::size_t j = 0; j < wanted; ++j) target[(first + j) * stride] = values[j];
  }
}

/// Maps a row back from the basis; the inverse of `to_basis_unscaled` times `rotation_scale()`.
/// Every instruction set gives the same bits.
/// @param values padded_features values in the basis; used as scratch
/// @param target in_features values, dense
/// @param set one that this machine has
inline void from_basis(const InputBasis& basis, float* values, float* target,
                       InstructionSet set = default_instruction_set()) noexcept {
  const detail::Rotation& rotation = detail::rotation_for(set);
  const std::size_t size = basis.scale_block();
  for (std::size_t block = 0; block * size < basis.padded_features(); ++block) {
    block_from_basis(basis, block, values + block * size, target, 1, rotation);
  }
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
