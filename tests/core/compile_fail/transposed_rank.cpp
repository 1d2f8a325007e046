#include <nash_swarm/core/tensor_view.hpp>

#ifdef NASH_SWARM_CONTROL
constexpr std::size_t rank = 2;
#else
constexpr std::size_t rank = 3;  // only a matrix can be transposed
#endif

auto transpose(nash_swarm::TensorView<float, rank> view) { return view.transposed(); }
