#include <nash_swarm/core/tensor_view.hpp>

#ifdef NASH_SWARM_CONTROL
constexpr std::size_t rank = 2;
#else
constexpr std::size_t rank = 1;  // a matrix is not a vector
#endif

nash_swarm::TensorView<float, rank> convert(nash_swarm::TensorView<float, 2> view) { return view; }
