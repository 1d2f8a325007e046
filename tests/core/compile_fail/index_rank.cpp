#include <nash_swarm/core/tensor_view.hpp>

float element(nash_swarm::TensorView<const float, 2> view) {
#ifdef NASH_SWARM_CONTROL
  return view(0, 0);
#else
  return view(0, 0, 0);  // three indices for two dimensions
#endif
}
