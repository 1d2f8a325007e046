#include <nash_swarm/core/tensor_view.hpp>

#ifdef NASH_SWARM_CONTROL
nash_swarm::TensorView<const float, 2> convert(nash_swarm::TensorView<float, 2> view) {
  return view;
}
#else
nash_swarm::TensorView<float, 2> convert(nash_swarm::TensorView<const float, 2> view) {
  return view;  // constant elements become mutable
}
#endif
