// A second file of a program that includes the same headers: nothing may be defined twice.
#include "product.hpp"

std::vector<float> output_of_second_file() {
  return Product::output(nash_swarm::PackedMatrix(Product::parts()));
}
