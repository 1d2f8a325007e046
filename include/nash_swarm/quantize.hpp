#pragma once

/// Everything that a host needs to quantize its weights and to multiply by them; files are in io/.

#if defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__
#error "Quantizing needs NaN and infinity: add -fno-finite-math-only after -ffast-math"
#endif

#include <nash_swarm/calibration/gradient_moment.hpp>
#include <nash_swarm/calibration/importance.hpp>
#include <nash_swarm/calibration/input_moment.hpp>
#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/watched_executor.hpp>
#include <nash_swarm/matmul.hpp>
#include <nash_swarm/model/allocate.hpp>
#include <nash_swarm/model/model.hpp>
#include <nash_swarm/model/pack.hpp>
#include <nash_swarm/model/payoff.hpp>
#include <nash_swarm/model/plan.hpp>
