#pragma once

#include <nash_swarm/version.hpp>

#if defined(_MSVC_LANG) ? _MSVC_LANG < 202002L : __cplusplus < 202002L
#error "nash_swarm needs C++20: compile with -std=c++20 or later"
#endif

#if defined(NASH_SWARM_SINGLE_HEADER)
#error "a single header of nash_swarm goes with no other header of it in one file"
#endif

/// What takes long to compile is compiled in every file that uses it, or once for all files of a
/// host: it defines NASH_SWARM_KERNELS_ELSEWHERE for all of them, which then see declarations, and
/// NASH_SWARM_KERNELS_HERE for one more file, compiled with the same options, that includes
/// <nash_swarm/matmul.hpp>, or <nash_swarm/quantize.hpp> if the others do.
///
/// NASH_SWARM_FUNCTION stands before the declaration of such a function, NASH_SWARM_DEFINITION
/// before its definition, which is there if NASH_SWARM_DEFINITIONS is 1. It is a template in files
/// that compile it themselves, so that they do so only if they use it. Where a function is declared
/// and defined at once, as a member in its class is, NASH_SWARM_FUNCTION alone does the same.
#if defined(NASH_SWARM_KERNELS_HERE)
#define NASH_SWARM_DEFINITIONS 1
#define NASH_SWARM_FUNCTION
#define NASH_SWARM_DEFINITION
#elif defined(NASH_SWARM_KERNELS_ELSEWHERE)
#define NASH_SWARM_DEFINITIONS 0
#define NASH_SWARM_FUNCTION
#else
#define NASH_SWARM_DEFINITIONS 1
#define NASH_SWARM_FUNCTION template <class = void>
#define NASH_SWARM_DEFINITION template <class>
#endif

/// Name of the inline namespace that holds the functions, keyed on the instruction set that the
/// including file is compiled for. Two files of one program may be compiled with different
/// `-march`; without the key the linker would keep one copy of an inline function for both, and
/// the program could meet an instruction that the machine lacks. Data types stay outside, so that
/// they pass freely between such files; their functions have the key as a tag, see below.
///
/// That holds for functions of the library in files compiled with -O2 or more. It cannot hold for
/// what such a file makes of templates and inline functions of others, those of the standard
/// library and, where it quantizes, of Eigen; and with less optimisation a compiler keeps more of
/// them apart, and even accessors and the copies of plain structs. The linker keeps the first copy
/// that it meets: so a host compiles the files for newer machines with -O2 at least, and links
/// those for the oldest machine first.
#if defined(__AVX512FP16__)
#define NASH_SWARM_TARGET target_avx512fp16
#elif defined(__AVX512VBMI__)
#define NASH_SWARM_TARGET target_avx512vbmi
#elif defined(__AVX512F__)
#define NASH_SWARM_TARGET target_avx512
#elif defined(__AVX2__)
#define NASH_SWARM_TARGET target_avx2
#elif defined(__AVX__)
#define NASH_SWARM_TARGET target_avx
#elif defined(__SSE4_1__)
#define NASH_SWARM_TARGET target_sse4
#elif defined(__ARM_FEATURE_DOTPROD)
#define NASH_SWARM_TARGET target_neon_dotprod
#else
#define NASH_SWARM_TARGET target_baseline
#endif

#define NASH_SWARM_QUOTED(Text) #Text
#define NASH_SWARM_ABI_TAG(Target) [[gnu::abi_tag(NASH_SWARM_QUOTED(Target))]]
/// Stands before functions of data types and puts the key into their symbols. Accessors that hold
/// no instruction of interest, or that every compiler inlines, go without.
#define NASH_SWARM_KEYED NASH_SWARM_ABI_TAG(NASH_SWARM_TARGET)

/// Declares the copies, moves and destructor that a class has anyway. Assignments take in those of
/// the members, which may be implicit, and then no key reaches them.
#define NASH_SWARM_KEYED_COPIES(Class)                                        \
  NASH_SWARM_KEYED Class(const Class&) = default;                             \
  NASH_SWARM_KEYED Class(Class&&) = default;                                  \
  NASH_SWARM_KEYED [[gnu::flatten]] Class& operator=(const Class&) = default; \
  NASH_SWARM_KEYED [[gnu::flatten]] Class& operator=(Class&&) = default;      \
  NASH_SWARM_KEYED ~Class() = default
