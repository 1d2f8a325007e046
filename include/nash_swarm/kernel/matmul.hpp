#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <nash_swarm/core/aligned_buffer.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/executor.hpp>
#include <nash_swarm/core/smaller.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>
#include <nash_swarm/kernel/activation.hpp>
#include <nash_swarm/kernel/decode_row.hpp>
#include <nash_swarm/kernel/ordered_outputs.hpp>
#include <nash_swarm/kernel/panel_product.hpp>
#include <nash_swarm/kernel/product_checks.hpp>

namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

/// y [tokens, rows of the panel] of one panel, whose rows of codes are one or two for a token.
inline void multiply_panel(const PanelProduct& product, const PackedMatrix& matrix,
                           const PanelTile& tile, const Activations& x,
                           TensorView<float, 2> y) noexcept {
  if (x.rows_per_token() == 1) return product.multiply(matrix, tile, x, y);
  alignas(64) float memory[nash_swarm::portable::token_tile * panel_rows];
  const TensorView<float, 2> digits{memory, {tile.tokens, y.extent(1)}};
  product.multiply(matrix, tile, x, digits);
  for (std::size_t t = 0; t < y.extent(0); ++t) {
    for (std::size_t row = 0; row < y.extent(1); ++row) {
      y(t, row) = digits(2 * t, row) + digits(2 * t + 1, row);
    }
  }
}

/// y [tokens, out] where the rows of a tile's panels are.
inline void multiply_tile(const PanelProduct& product, const PackedMatrix& matrix,
                          const PanelTile& tile, const Activations& x,
                          TensorView<float, 2> y) noexcept {
  const bool natural = matrix.row_order().natural();
  if (natural && x.rows_per_token() == 1) {
    return product.multiply(matrix, tile, x, y.slice(1, tile.first_row(), tile.past_row(matrix)));
  }
  for (std::size_t panel = tile.first_panel; panel < tile.past_panel; ++panel) {
    const PanelTile part = tile.of_panel(panel, x.channels());
    const std::size_t first_row = part.first_row();
    const std::size_t past_row = part.past_row(matrix);
    if (natural) {
      multiply_panel(product, matrix, part, x, y.slice(1, first_row, past_row));
      continue;
    }
    alignas(64) float memory[nash_swarm::portable::token_tile * panel_rows];
    const TensorView<float, 2> outputs{memory, {y.extent(0), past_row - first_row}};
    multiply_panel(product, matrix, part, x, outputs);
    place_outputs(matrix.row_order(), first_row, outputs, y);
  }
}

/// Memory for the decoded values of some panels: with the activations of a tile, half of a second
/// cache of 1 MB. (Measured on Emerald Rapids: 128 KB to 1 MB are alike.)
inline constexpr std::size_t decoded_bytes = std::size_t{256} << 10;

/// y [tokens, out] where the rows of panels are. Panels are decoded once for all tokens if these
/// are more than one tile, and if they are not too wide.
inline void multiply_panels(const PanelProduct& product, const PackedMatrix& matrix,
                            std::size_t first_panel, std::size_t past_panel, const Activations& x,
                            TensorView<float, 2> y) noexcept {
  const std::size_t rows_per_token = x.rows_per_token();
  const std::size_t tile_tokens = nash_swarm::portable::token_tile / rows_per_token;
  const std::size_t panel_bytes = x.channels() * panel_rows;
  std::size_t step = past_panel - first_panel;
  AlignedBuffer<std::uint8_t> decoded;
  if (product.decode != nullptr && x.tokens() > tile_tokens && panel_bytes <= decoded_bytes) {
    const std::size_t fitting = smaller(step, decoded_bytes / panel_bytes);
    decoded = AlignedBuffer<std::uint8_t>::try_for_overwrite(fitting * panel_bytes);
    if (!decoded.empty()) step = fitting;
  }
  for (std::size_t first = first_panel; first < past_panel; first += step) {
    const std::size_t past = smaller(first + step, past_panel);
    if (!decoded.empty()) product.decode(matrix, first, past, decoded.data());
    for (std::size_t token = 0; token < x.tokens(); token += tile_tokens) {
      const std::size_t tokens = smaller(tile_tokens, x.tokens() - token);
      multiply_tile(product, matrix,
                    {first, past, token * rows_per_token, tokens * rows_per_token, decoded.data()},
                    x, y.slice(0, token, token + tokens));
    }
  }
}

/// True for products that take less than some 6 µs: two threads of a ThreadPool that was busy a
/// moment ago gain from about half of that on.
inline bool is_short(const PackedMatrix& matrix, const Activations& x) noexcept {
  constexpr double short_products = 1 << 18;
  return static_cast<double>(matrix.out_features()) * static_cast<double>(x.channels()) *
             static_cast<double>(x.tokens() * x.rows_per_token()) <
         short_products;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// y = x · Wᵀ for inputs that are already in the basis of the matrix.
/// @param x [tokens, in] in the basis of the matrix
/// @param y [tokens, out]
/// @param set of instructions, for tests
/// @returns the error, with y as it was, if the bases differ, the shapes do not fit, or the machine
/// lacks the set
template <Executor E>
[[nodiscard]] std::optional<Error> try_matmul(const PackedMatrix& matrix, const Activations& x,
                                              TensorView<float, 2> y, E& executor,
                                              std::optional<InstructionSet> set = std::nullopt) {
  if (auto error = detail::refuse_empty(matrix)) return error;
  if (x.basis_fingerprint() != matrix.basis().fingerprint()) {
    return Error(matrix.name(), "activations of another basis",
                 "quantize the input with the basis of the matrix");
  }
  if (auto error = detail::refuse_wrong_output(matrix, x.tokens(), y)) return error;
  const Result<InstructionSet> usable = detail::usable_set(matrix.name(), set);
  if (!usable) return usable.error();
  const std::size_t panels = panel_count(matrix.out_features());
  const std::size_t tasks = detail::is_short(matrix, x) ? 1 : detail::enough_tasks(executor);
  const std::size_t share = (panels + tasks - 1) / tasks;
  // 64 outputs at least, which are whole cache lines of y.
  const std::size_t panels_per_task = share < 4 ? 4 : share;
  const detail::PanelProduct product = detail::panel_product_for(*usable);
  executor.run((panels + panels_per_task - 1) / panels_per_task, [&](std::size_t task) {
    const std::size_t first = task * panels_per_task;
    detail::multiply_panels(product, matrix, first,
                            detail::smaller(first + panels_per_task, panels), x, y);
  });
  return std::nullopt;
}

/// As `try_matmul`.
/// @throws Error instead of returning it
template <Executor E>
void matmul(const PackedMatrix& matrix, const Activations& x, TensorView<float, 2> y, E& executor,
            std::optional<InstructionSet> set = std::nullopt) {
  detail::raise_if(try_matmul(matrix, x, y, executor, set));
}

/// y = x · Wᵀ with packed weights and rounded activations. The result is the same bit for bit on
/// every machine and for every number of threads.
/// @param x [tokens, in]
/// @param y [tokens, out]
/// @param bits of the activations: in a rotated basis 8 lose less than a hundredth of an output, 16
/// less than a 200th part of that; they take 1.3 to 1.5 times as long for one token, and nearly
/// twice as long for many
/// @returns the error, with y as it was, if the shapes do not fit
template <Executor E>
[[nodiscard]] std::optional<Error> try_matmul(const PackedMatrix& matrix,
                                              TensorView<const float, 2> x, TensorView<float, 2> y,
                                              E& executor,
                                              ActivationBits bits = ActivationBits::eight) {
  if (auto error = detail::refuse_empty(matrix)) return error;
  const Result<Activations> activations =
      try_quantize_activations(matrix.basis(), x, executor, bits);
  if (!activations) return activations.error();
  return try_matmul(matrix, *activations, y, executor);
}

/// As `try_matmul`.
/// @throws Error instead of returning it
template <Executor E>
void matmul(const PackedMatrix& matrix, TensorView<const float, 2> x, TensorView<float, 2> y,
            E& executor, ActivationBits bits = ActivationBits::eight) {
  detail::raise_if(try_matmul(matrix, x, y, executor, bits));
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
