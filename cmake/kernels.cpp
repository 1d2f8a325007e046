#define NASH_SWARM_KERNELS_HERE
#include <nash_swarm/quantize.hpp>
