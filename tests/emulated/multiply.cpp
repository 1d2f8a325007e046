#include "multiply.hpp"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#if defined(__AVX512F__)
#define MULTIPLY multiply_icelake
#elif defined(__AVX2__)
#define MULTIPLY multiply_haswell
#else
#define MULTIPLY multiply_baseline
#endif

namespace {

using nash_swarm::InputBasis;
using nash_swarm::PackedMatrix;
using nash_swarm::RowOrder;

/// The same matrix out of its parts, as a host has them that has read them. (std::make_shared would
/// be a function of the standard library for both files.)
PackedMatrix loaded(const PackedMatrix& matrix) {
  const InputBasis& basis = matrix.basis();
  PackedMatrix::Parts parts;
  parts.name = matrix.name();
  parts.out_features = matrix.out_features();
  parts.basis = std::shared_ptr<const InputBasis>(
      new InputBasis(basis.name(), basis.in_features(), basis.rotation_block(), basis.sign_seed(),
                     basis.permutation()));
  parts.codes = matrix.codes();
  parts.row_scales = matrix.row_scales();
  parts.run_table = matrix.run_table();
  parts.row_order = matrix.row_order_bytes();
  PackedMatrix result;
  result = PackedMatrix(std::move(parts));
  return result;
}

/// Whether an order that swaps two rows of two panels says so.
bool orders_rows() {
  std::vector<std::uint32_t> panels(2 * nash_swarm::panel_rows);
  for (std::size_t row = 0; row < panels.size(); ++row) {
    panels[row] = static_cast<std::uint32_t>(row / nash_swarm::panel_rows);
  }
  std::swap(panels.front(), panels.back());
  const RowOrder order("rows", panels);
  const RowOrder copy(order);
  return !copy.natural() && copy.panel_of(0) == 1 && copy.stored_bytes() == 4 && copy == order;
}

}  // namespace

nash_swarm::InstructionSet MULTIPLY(const PackedMatrix& matrix, const float* x, float* y,
                                    std::size_t tokens, nash_swarm::ThreadPool& pool) {
  nash_swarm::ThreadPool own_pool(2);
  const PackedMatrix own = loaded(matrix);
  const nash_swarm::TensorView<const float, 2> inputs(x, {tokens, own.in_features()});
  const nash_swarm::TensorView<float, 2> outputs(y, {tokens, own.out_features()});
  const nash_swarm::Activations activations =
      nash_swarm::quantize_activations(own.basis(), inputs, own_pool);
  nash_swarm::matmul(own, activations, outputs, pool);
  if (PackedMatrix::try_load({}) || !orders_rows()) outputs(0, 0) = -outputs(0, 0);
  return nash_swarm::default_instruction_set();
}
