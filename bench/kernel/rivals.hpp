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

/// What libraries and machine say of themselves.
std::string openblas_description();
std::string eigen_description();

/// Reads memory once, as fast as one thread can; the result only keeps the reads alive.
std::uint64_t read_through(std::span<const std::byte> memory);

}  // namespace bench
