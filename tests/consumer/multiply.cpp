// The second file of a program: nothing may be defined twice.
#include "product.hpp"

std::vector<float> multiply(const nash_swarm::PackedMatrix& matrix, std::vector<float> x) {
  std::vector<float> y(matrix.out_features());
  nash_swarm::ThreadPool executor(2);
  nash_swarm::matmul(matrix, {x.data(), {std::size_t{1}, x.size()}},
                     {y.data(), {std::size_t{1}, y.size()}}, executor);
  return y;
}
