#include "library.hpp"

float last_element(nash_swarm::TensorView<const float, 2> view) {
  return view(view.extent(0) - 1, view.extent(1) - 1);
}
