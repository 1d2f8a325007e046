#include <nash_swarm/core/tensor_view.hpp>

nash_swarm::TensorView<float, 2> matrix(float* data) {
#ifdef NASH_SWARM_CONTROL
  return nash_swarm::TensorView<float, 2>(data, {2, 3});
#else
  return nash_swarm::TensorView<float, 2>(data, {2, 3, 4});  // three extents for two dimensions
#endif
}
