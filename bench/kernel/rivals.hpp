#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bench {

/// y [tokens, rows] = x [tokens, in] · wᵀ in float32 on the calling thread; `y_stride` elements from
/// a token to the next one.
struct FloatProduct {
  std::string_view name;
  void (*multiply)(const float* w, std::size_t rows, std::size_t in, const float* x,
                   std::size_t tokens, float* y, std::size_t y_stride);
};

/// OpenBLAS and Eigen, the latter compiled for all that this machine has.
std::span<const FloatProduct> float_products();

/// Starts the program anew with the kernels of OpenBLAS that suit the machine, since a processor
/// younger than the library would get those of the oldest one, four times as slow. Does nothing if
/// OPENBLAS_CORETYPE already names some.
void use_widest_openblas_kernels(char** arguments);

/// What libraries and machine say of themselves.
std::string openblas_description();
std::string eigen_description();

/// Reads memory once, as fast as one thread can; the result only keeps the reads alive.
std::uint64_t read_through(std::span<const std::byte> memory);

}  // namespace bench
