#include <nash_swarm/core/tensor_view.hpp>

#ifdef NASH_SWARM_CONTROL
void write(nash_swarm::TensorView<float, 1> view) { view(0) = 1.0F; }
#else
void write(nash_swarm::TensorView<const float, 1> view) { view(0) = 1.0F; }  // constant element
#endif
