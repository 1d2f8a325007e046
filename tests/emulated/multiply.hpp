#pragma once

#include <cstddef>

#include <nash_swarm/matmul.hpp>

/// What a host's file does with the library. The file is compiled for the oldest x86-64, for
/// Haswell and for Ice Lake, as a host does that chooses among its own kernels at run time.
using Multiply = nash_swarm::InstructionSet (*)(const nash_swarm::PackedMatrix& matrix,
                                                const float* x, float* y, std::size_t tokens,
                                                nash_swarm::ThreadPool& pool);

/// Makes a matrix of the parts of another and multiplies by it.
/// @param x [tokens, in]
/// @param y [tokens, out]
/// @param pool of another file, beside one that the function makes
/// @return the instruction set that the library chose
nash_swarm::InstructionSet multiply_baseline(const nash_swarm::PackedMatrix& matrix, const float* x,
                                             float* y, std::size_t tokens,
                                             nash_swarm::ThreadPool& pool);
nash_swarm::InstructionSet multiply_haswell(const nash_swarm::PackedMatrix& matrix, const float* x,
                                            float* y, std::size_t tokens,
                                            nash_swarm::ThreadPool& pool);
nash_swarm::InstructionSet multiply_icelake(const nash_swarm::PackedMatrix& matrix, const float* x,
                                            float* y, std::size_t tokens,
                                            nash_swarm::ThreadPool& pool);
