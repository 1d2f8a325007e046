#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include <nash_swarm/core/instruction_set.hpp>
#include <nash_swarm/core/result.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

/// What products refuse: the error, or nothing.
namespace nash_swarm {
namespace detail {
inline namespace NASH_SWARM_TARGET {

inline std::optional<Error> refuse_empty(const PackedMatrix& matrix) {
  if (!matrix.empty()) return std::nullopt;
  return Error("PackedMatrix", "the matrix is empty", "pack or load one first");
}

/// The set that is asked for if this machine has it, the default one if none is.
inline Result<InstructionSet> usable_set(const std::string& subject,
                                         std::optional<InstructionSet> asked) {
  if (!asked) return try_default_instruction_set();
  if (is_supported(*asked)) return *asked;
  return Error(subject, "this machine lacks the instruction set that is asked for",
               "leave the choice to the library");
}

inline std::optional<Error> refuse_wrong_input(const InputBasis& basis,
                                               TensorView<const float, 2> x) {
  if (x.extent(1) == basis.in_features()) return std::nullopt;
  return Error(basis.name(),
               "input of " + std::to_string(x.extent(1)) + " channels for a basis of " +
                   std::to_string(basis.in_features()),
               "pass x as [tokens, in_features]");
}

inline std::optional<Error> refuse_wrong_output(const PackedMatrix& matrix, std::size_t tokens,
                                                TensorView<float, 2> y) {
  if (y.extent(0) == tokens && y.extent(1) == matrix.out_features()) return std::nullopt;
  return Error(matrix.name(),
               "output of shape [" + std::to_string(y.extent(0)) + ", " +
                   std::to_string(y.extent(1)) + "] for a product of shape [" +
                   std::to_string(tokens) + ", " + std::to_string(matrix.out_features()) + "]",
               "pass y as [tokens, out_features]");
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail
}  // namespace nash_swarm
