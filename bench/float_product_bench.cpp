// How fast float matrices are multiplied, one thread: product/<shape>/<who>, where the shape is
// rows x columns x depth and "transposed" says which factor is read across its rows: the left one
// as in the second moments xᵀx, the right one as in y = x·wᵀ.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>

#include <Eigen/Core>

#include <nash_swarm/core/float_product.hpp>

namespace {

namespace ns = nash_swarm;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Shape {
  std::size_t rows, columns, depth;
  bool left_transposed;
};

Eigen::Index index(std::size_t value) {
  return static_cast<Eigen::Index>(value);
}

/// The factors as they lie in memory, and the result.
struct Factors {
  explicit Factors(const Shape& s)
      : a(s.left_transposed ? Matrix::Random(index(s.depth), index(s.rows))
                            : Matrix::Random(index(s.rows), index(s.depth))),
        b(s.left_transposed ? Matrix::Random(index(s.depth), index(s.columns))
                            : Matrix::Random(index(s.columns), index(s.depth))),
        c(Matrix::Zero(index(s.rows), index(s.columns))) {}
  Matrix a, b, c;
};

void count(benchmark::State& state, const Shape& s) {
  state.counters["flops_per_second"] =
      benchmark::Counter(2.0 * static_cast<double>(s.rows * s.columns * s.depth),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void own(benchmark::State& state, const Shape& s, ns::InstructionSet set) {
  Factors f(s);
  const auto view = [](const Matrix& m) {
    return ns::TensorView<const float, 2>(m.data(), {m.rows(), m.cols()});
  };
  const auto a = s.left_transposed ? view(f.a).transposed() : view(f.a);
  const auto b = s.left_transposed ? view(f.b) : view(f.b).transposed();
  const ns::TensorView<float, 2> c(f.c.data(), {s.rows, s.columns});
  for (auto _ : state) ns::add_product(a, b, c, set);
  count(state, s);
}

void eigen(benchmark::State& state, const Shape& s) {
  Factors f(s);
  for (auto _ : state) {
    if (s.left_transposed) {
      f.c.noalias() += f.a.transpose() * f.b;
    } else {
      f.c.noalias() += f.a * f.b.transpose();
    }
  }
  count(state, s);
}

}  // namespace

int main(int argc, char** argv) {
  const Shape shapes[] = {
      {64, 256, 256, true}, {64, 768, 1024, true}, {64, 3072, 1024, true}, {256, 256, 768, false}};
  for (const Shape& s : shapes) {
    const std::string title = "product/" + std::to_string(s.rows) + "x" +
                              std::to_string(s.columns) + "x" + std::to_string(s.depth) +
                              (s.left_transposed ? "_left_transposed/" : "_right_transposed/");
    benchmark::RegisterBenchmark((title + "eigen").c_str(), eigen, s);
    for (const auto& [set, name] : ns::instruction_sets) {
      if (ns::is_supported(set) && ns::float_set(set) == set) {
        benchmark::RegisterBenchmark((title + std::string(name)).c_str(), own, s, set);
      }
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
}
