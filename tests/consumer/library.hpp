#pragma once

#include <nash_swarm/core/tensor_view.hpp>

#if __has_include(<nash_swarm/matmul.hpp>)
#include <nash_swarm/matmul.hpp>
#endif
#if !defined(CONSUMER_MATMUL_ONLY) && __has_include(<nash_swarm/quantize.hpp>)
#include <nash_swarm/quantize.hpp>
#endif

float last_element(nash_swarm::TensorView<const float, 2> view);
