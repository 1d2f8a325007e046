#include "multiply.hpp"

#if defined(__AVX2__)
#define MULTIPLY multiply_haswell
#else
#define MULTIPLY multiply_baseline
#endif

nash_swarm::InstructionSet MULTIPLY(const nash_swarm::PackedMatrix& matrix,
                                    nash_swarm::TensorView<const float, 2> x,
                                    nash_swarm::TensorView<float, 2> y) {
  nash_swarm::SerialExecutor executor;
  const nash_swarm::Activations activations =
      nash_swarm::quantize_activations(matrix.basis(), x, executor);
  nash_swarm::matmul(matrix, activations, y, executor);
  return nash_swarm::default_instruction_set();
}
