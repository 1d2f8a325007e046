// one_product <format> <instruction set> <channels>: multiplies one panel with one token.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string_view>

#include <nash_swarm/matmul.hpp>

#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

void multiply(std::string_view format, std::string_view set, std::size_t channels) {
  const auto matrix = support::any_matrix(
      nash_swarm::panel_rows, std::make_shared<nash_swarm::InputBasis>("x", channels, 256, 1),
      [&](auto, auto) { return nash_swarm::format_index(format); }, 1);
  const auto inputs = support::random_inputs(1, channels, 2);
  float outputs[nash_swarm::panel_rows];
  nash_swarm::matmul(matrix,
                     nash_swarm::quantize_activations(
                         matrix.basis(), support::rows_of(inputs, channels), support::serial),
                     nash_swarm::TensorView<float, 2>(outputs, {1, nash_swarm::panel_rows}),
                     support::serial, *nash_swarm::instruction_set_named(set));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    multiply(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
