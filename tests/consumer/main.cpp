#include "library.hpp"

int main() {
  const float values[6] = {0, 1, 2, 3, 4, 5};
  const nash_swarm::TensorView<const float, 2> view(values, {2, 3});
  return last_element(view) == 5.0F && view.transposed()(2, 0) == 2.0F ? 0 : 1;
}
