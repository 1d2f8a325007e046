// Compiled for the machine that it runs on, unlike all else here.
#include "kernel/rivals.hpp"

#include <cblas.h>
#include <unistd.h>

#include <Eigen/Core>
#include <array>
#include <cstdlib>
#include <cstring>

namespace bench {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXf;

void openblas(const float* w, std::size_t rows, std::size_t in, const float* x, std::size_t tokens,
              float* y, std::size_t y_stride) {
  const auto m = static_cast<blasint>(tokens);
  const auto n = static_cast<blasint>(rows);
  const auto k = static_cast<blasint>(in);
  if (tokens == 1) {
    cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1.0f, w, k, x, 1, 0.0f, y, 1);
  } else {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0f, x, k, w, k, 0.0f, y,
                static_cast<blasint>(y_stride));
  }
}

void eigen(const float* w, std::size_t rows, std::size_t in, const float* x, std::size_t tokens,
           float* y, std::size_t y_stride) {
  const auto m = static_cast<Eigen::Index>(tokens);
  const auto n = static_cast<Eigen::Index>(rows);
  const auto k = static_cast<Eigen::Index>(in);
  const Eigen::Map<const Matrix> weights(w, n, k);
  if (tokens == 1) {
    Eigen::Map<Vector>(y, n).noalias() = weights * Eigen::Map<const Vector>(x, k);
  } else {
    Eigen::Map<Matrix, 0, Eigen::OuterStride<>>(
        y, m, n, Eigen::OuterStride<>(static_cast<Eigen::Index>(y_stride)))
        .noalias() = Eigen::Map<const Matrix>(x, m, k) * weights.transpose();
  }
}

constexpr std::array products{FloatProduct{"openblas", &openblas}, FloatProduct{"eigen", &eigen}};

}  // namespace

std::span<const FloatProduct> float_products() {
  openblas_set_num_threads(1);  // threads are the caller's
  return products;
}

void use_widest_openblas_kernels(char** arguments) {
#if defined(__AVX512BW__) && defined(__AVX512VL__)
  constexpr const char* kernels = "SkylakeX";
#elif defined(__AVX2__)
  constexpr const char* kernels = "Haswell";
#else
  constexpr const char* kernels = nullptr;  // the library's choice
#endif
  constexpr const char* variable = "OPENBLAS_CORETYPE";  // read when the library is loaded
  if (kernels == nullptr || std::getenv(variable) != nullptr) return;
  setenv(variable, kernels, 1);
  execv("/proc/self/exe", arguments);
}

std::string openblas_description() { return openblas_get_config(); }

std::string eigen_description() {
  return "Eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." +
         std::to_string(EIGEN_MAJOR_VERSION) + "." + std::to_string(EIGEN_MINOR_VERSION) + " with " +
         Eigen::SimdInstructionSetsInUse();
}

std::uint64_t read_through(std::span<const std::byte> memory) {
  // One thread reads faster from several places in turn than from one: each has its own prefetcher.
  constexpr std::size_t places = 4;
  using Line [[gnu::vector_size(64)]] = std::uint64_t;
  const std::size_t part = memory.size() / places;
  Line sums{};
  for (std::size_t i = 0; i + sizeof sums <= part; i += sizeof sums) {
    for (std::size_t place = 0; place < places; ++place) {
      Line line;
      std::memcpy(&line, memory.data() + place * part + i, sizeof line);
      sums ^= line;
    }
  }
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizeof sums / sizeof sum; ++i) sum ^= sums[i];
  return sum;
}

}  // namespace bench
