#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/finite.hpp>
#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/result.hpp>
#include <nash_swarm/core/smaller.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/input_basis.hpp>
#include <nash_swarm/kernel/activation_codes.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {

/// Width of activations.
enum class ActivationBits : std::uint8_t { eight, sixteen };

/// Up to 16 rows of codes as kernels read them, side by side.
struct RowGroup {
  std::size_t rows;
  const std::int8_t* lanes;          // [vectors of lanes][rows][4]
  const std::int8_t* pairs;          // of a single row: [pairs of tiles][32]
  const std::uint32_t* sums_before;  // [blocks + 1][rows]: of the codes before a block, mod 2^32
  const float* scales;               // [scale blocks][rows]

  /// The same from one of its rows on.
  NASH_SWARM_KEYED RowGroup from(std::size_t row) const noexcept {
    return {rows, lanes + 4 * row, pairs, sums_before + row, scales + row};
  }
};

/// Inputs of matrices, brought into an input basis and rounded, ready to be multiplied by every
/// matrix of that basis.
///
/// With 8 bits a token is a row of codes: value (token, channel) = scale of (row, block) × code.
/// With 16 bits it is two, the rows 2 · token and 2 · token + 1, and a value the sum of both: its
/// codes are the digits of an integer (see `detail::Digit`), the second scale the first / 255.
/// Codes are −127 … 127. A token with NaN or infinity has NaN scales, so that its outputs are NaN.
///
/// Codes are kept as kernels read them: four channels that share the lanes of a vector together
/// (see `lane_channel`), and those of 16 rows side by side, so that they fill a cache line. A row
/// that is left alone has its codes by pairs as well: for channels k of two neighbouring tiles k,
/// k, k + 8, k + 8.
class Activations {
 public:
  /// Rows of codes that lie side by side, but for the last.
  static constexpr std::size_t group_rows = 16;

  /// @throws Error if the bytes of so many tokens overflow
  NASH_SWARM_KEYED Activations(std::size_t tokens, const InputBasis& basis,
                               ActivationBits bits = ActivationBits::eight)
      : Activations(detail::value_or_raise(try_make(tokens, basis, bits))) {}

  NASH_SWARM_KEYED Activations(Activations&&) = default;
  NASH_SWARM_KEYED Activations& operator=(Activations&&) = default;
  NASH_SWARM_KEYED ~Activations() = default;

  /// The same, or the error instead of throwing it.
  NASH_SWARM_KEYED static Result<Activations> try_make(std::size_t tokens, const InputBasis& basis,
                                                       ActivationBits bits) {
    const Result<std::size_t> bytes = bytes_of(tokens, basis, bits);
    if (!bytes) return bytes.error();
    return Activations(tokens, basis, bits, *bytes);
  }

  /// Bytes of so many tokens, or the error that they overflow.
  NASH_SWARM_KEYED static Result<std::size_t> bytes_of(std::size_t tokens, const InputBasis& basis,
                                                       ActivationBits bits) {
    const std::size_t channels = basis.padded_features();
    const std::size_t rows_per_token = bits == ActivationBits::eight ? 1 : 2;
    const std::size_t token_bytes =
        rows_per_token * (channels + sums_per_row(channels) * sizeof(std::uint32_t) +
                          channels / basis.scale_block() * sizeof(float));
    // As many as fit a pointer difference.
    const std::size_t most = std::numeric_limits<std::size_t>::max() / 2 - 2 * channels;
    if (tokens > most / token_bytes) {
      return Error("activations", std::to_string(tokens) + " tokens of " +
                                      std::to_string(channels) + " channels overflow");
    }
    return tokens * token_bytes + pair_bytes(tokens * rows_per_token, channels);
  }

  std::size_t tokens() const noexcept { return tokens_; }
  /// Rows of codes: one or two.
  std::size_t rows_per_token() const noexcept { return rows_per_token_; }
  std::size_t rows() const noexcept { return tokens_ * rows_per_token_; }
  std::size_t channels() const noexcept { return channels_; }
  /// Channels that share a scale.
  std::size_t scale_block() const noexcept { return block_; }
  /// Of the basis that the inputs are in.
  std::uint64_t basis_fingerprint() const noexcept { return basis_fingerprint_; }
  NASH_SWARM_KEYED std::int8_t code(std::size_t row, std::size_t channel) const noexcept {
    const RowGroup own = group_from(row);
    const std::size_t vector = channel / 32 * 8 + channel % 8;
    return own.lanes[4 * own.rows * vector + channel % 32 / 8];
  }
  /// The sum of the codes of a block of 64 channels.
  NASH_SWARM_KEYED std::int32_t block_sum(std::size_t row, std::size_t block) const noexcept {
    const RowGroup own = group_from(row);
    const std::uint32_t* const before = own.sums_before + block * own.rows;
    return static_cast<std::int32_t>(before[own.rows] - before[0]);
  }
  NASH_SWARM_KEYED float scale(std::size_t row, std::size_t scale_block) const noexcept {
    return at<float>(scales_place())[scale_index(row, scale_block)];
  }
  NASH_SWARM_KEYED float& scale(std::size_t row, std::size_t scale_block) noexcept {
    return at<float>(scales_place())[scale_index(row, scale_block)];
  }
  /// The rows that lie beside a row, itself among them.
  NASH_SWARM_KEYED RowGroup group(std::size_t row) const noexcept {
    const std::size_t first = first_of_group(row);
    const std::size_t size = group_size(first);
    return {size, at<std::int8_t>(first * channels_),
            size == 1 ? at<std::int8_t>(pairs_place()) : nullptr,
            at<std::uint32_t>(sums_place()) + first * sums_per_row(channels_),
            at<float>(scales_place()) + first * scales_per_row_};
  }
  /// Where these codes and their sums are written.
  NASH_SWARM_KEYED detail::CodePlace code_place(std::size_t row, std::size_t channel) noexcept {
    const std::size_t first = first_of_group(row);
    const std::size_t size = group_size(first);
    const std::size_t sum = first * sums_per_row(channels_) + (row - first);
    return {size, at<std::int8_t>(first * channels_ + 4 * (row - first) + size * channel),
            size == 1 ? at<std::int8_t>(pairs_place()) + 2 * channel : nullptr,
            at<std::uint32_t>(sums_place()) + sum + size * (channel / block_channels)};
  }

 private:
  /// @param bytes that all of it takes
  NASH_SWARM_KEYED Activations(std::size_t tokens, const InputBasis& basis, ActivationBits bits,
                               std::size_t bytes)
      : tokens_(tokens),
        rows_per_token_(bits == ActivationBits::eight ? 1 : 2),
        channels_(basis.padded_features()),
        block_(basis.scale_block()),
        scales_per_row_(channels_ / block_),
        basis_fingerprint_(basis.fingerprint()),
        memory_(AlignedBuffer<std::byte>::for_overwrite(bytes)) {
    for (std::size_t row = 0; row < rows(); ++row) *code_place(row, 0).sum_before = 0;
  }

  /// The rows beside a row, from it on.
  NASH_SWARM_KEYED RowGroup group_from(std::size_t row) const noexcept {
    return group(row).from(row % group_rows);
  }
  /// Of the codes before every block, and of all.
  static constexpr std::size_t sums_per_row(std::size_t channels) noexcept {
    return channels / block_channels + 1;
  }
  static std::size_t first_of_group(std::size_t row) noexcept {
    return row / group_rows * group_rows;
  }
  std::size_t group_size(std::size_t first) const noexcept {
    return detail::smaller(group_rows, rows() - first);
  }
  NASH_SWARM_KEYED std::size_t scale_index(std::size_t row,
                                           std::size_t scale_block) const noexcept {
    const std::size_t first = first_of_group(row);
    return first * scales_per_row_ + scale_block * group_size(first) + (row - first);
  }
  /// Bytes of the codes by pairs of a row that is left alone.
  static std::size_t pair_bytes(std::size_t rows, std::size_t channels) noexcept {
    return rows % group_rows == 1 ? 2 * channels : 0;
  }

  // Lane codes, pair codes, sums and scales follow one another in one allocation: several would
  // take a fifth of the time of a token of 768 channels.
  std::size_t pairs_place() const noexcept { return rows() * channels_; }
  std::size_t sums_place() const noexcept { return pairs_place() + pair_bytes(rows(), channels_); }
  std::size_t scales_place() const noexcept {
    return sums_place() + rows() * sums_per_row(channels_) * sizeof(std::uint32_t);
  }
  template <class T>
  T* at(std::size_t place) noexcept {
    return reinterpret_cast<T*>(memory_.data() + place);
  }
  template <class T>
  const T* at(std::size_t place) const noexcept {
    return reinterpret_cast<const T*>(memory_.data() + place);
  }

  std::size_t tokens_;
  std::size_t rows_per_token_;
  std::size_t channels_;
  std::size_t block_;
  std::size_t scales_per_row_;
  std::uint64_t basis_fingerprint_;
  AlignedBuffer<std::byte> memory_;
};

namespace detail {
inline namespace NASH_SWARM_TARGET {

/// What a block of values is multiplied by, and what a code of one digit then stands for.
struct BlockScale {
  float factor;
  float scale;
};

/// @param most_integer that the largest magnitude becomes
/// @param values become zeros if they are not finite, or so small that the factor is not
inline BlockScale scale_block(const ActivationRounding& rounding, float most_integer, float* values,
                              std::size_t size) noexcept {
  const float largest = rounding.largest_magnitude(values, size);
  const float factor = most_integer / largest;
  // A product may round up to just above the integer, by less than a half.
  if (is_finite(factor)) return {factor, largest / 127.0f};
  for (std::size_t i = 0; i < size; ++i) values[i] = 0.0f;
  return {0.0f, is_finite(largest) ? 0.0f : largest};
}

/// Brings a block of one input into the basis and rounds it.
inline void quantize_block(const InputBasis& basis, std::size_t block, const float* source,
                           std::size_t stride, const Rotation& rotation,
                           const ActivationRounding& rounding, Activations& x,
                           std::size_t token) noexcept {
  alignas(64) float values[InputBasis::most_scale_block];
  const std::size_t size = basis.scale_block();
  const bool has_two_digits = x.rows_per_token() == 2;
  const float most_integer = has_two_digits ? most_code * digit_base : most_code;
  const std::size_t row = token * x.rows_per_token();
  block_to_basis_unscaled(basis, block, source, stride, values, rotation);
  const BlockScale own = scale_block(rounding, most_integer, values, size);
  const auto round = has_two_digits ? rounding.high_digits : rounding.codes;
  round(values, own.factor, size, x.code_place(row, block * size));
  x.scale(row, block) = own.scale * basis.rotation_scale();
  if (!has_two_digits) return;
  rounding.low_digits(values, own.factor, size, x.code_place(row + 1, block * size));
  x.scale(row + 1, block) = x.scale(row, block) / digit_base;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Brings inputs x [tokens, in] into the basis and rounds them, one scale per token and block, to
/// the nearest of 255 values or, with 16 bits, of 64,771: a value is off by at most half of scale,
/// or of scale / 255, but for float rounding. Do it once for all matrices that read the same input.
/// Every instruction set gives the same bits.
/// The error is a shape that does not fit the basis, tokens that overflow, or a set that the
/// machine lacks.
/// @param bits with 16, products take as long as those of twice the tokens
/// @param set of instructions, for tests
template <Executor E>
Result<Activations> try_quantize_activations(const InputBasis& basis, TensorView<const float, 2> x,
                                             E& executor,
                                             ActivationBits bits = ActivationBits::eight,
                                             std::optional<InstructionSet> set = std::nullopt) {
  if (auto error = detail::refuse_wrong_input(basis, x)) return *std::move(error);
  const Result<InstructionSet> usable = detail::usable_set(basis.name(), set);
  if (!usable) return usable.error();
  Result<Activations> activations = Activations::try_make(x.extent(0), basis, bits);
  if (!activations) return activations;
  const detail::Rotation& rotation = detail::rotation_for(*usable);
  const detail::ActivationRounding& rounding = detail::activation_rounding_for(*usable);
  // Codes of a group lie in the same cache lines: block by block these stay near.
  const std::size_t blocks = basis.padded_features() / basis.scale_block();
  const std::size_t tokens_per_task = Activations::group_rows / activations->rows_per_token();
  executor.run((x.extent(0) + tokens_per_task - 1) / tokens_per_task, [&](std::size_t task) {
    const std::size_t last = detail::smaller(x.extent(0), (task + 1) * tokens_per_task);
    for (std::size_t block = 0; block < blocks; ++block) {
      for (std::size_t token = task * tokens_per_task; token < last; ++token) {
        detail::quantize_block(basis, block, x.data() + token * x.stride(0), x.stride(1), rotation,
                               rounding, *activations, token);
      }
    }
  });
  return activations;
}

/// As `try_quantize_activations`.
/// @throws Error instead of returning it
template <Executor E>
Activations quantize_activations(const InputBasis& basis, TensorView<const float, 2> x, E& executor,
                                 ActivationBits bits = ActivationBits::eight,
                                 std::optional<InstructionSet> set = std::nullopt) {
  return detail::value_or_raise(try_quantize_activations(basis, x, executor, bits, set));
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
