// one_product <format> <instruction set> <channels>: multiplies one panel with one token.
// one_product formats: lists those that take bytes.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include <nash_swarm/matmul.hpp>

#include "support/one_panel.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace {

void multiply(std::string_view format, std::string_view set, std::size_t channels) {
  const auto matrix = support::one_panel(format, channels);
  const auto inputs = support::random_inputs(1, channels, 2);
  float outputs[nash_swarm::panel_rows];
  nash_swarm::matmul(matrix,
                     nash_swarm::quantize_activations(
                         matrix.basis(), support::rows_of(inputs, channels), support::serial),
                     nash_swarm::TensorView<float, 2>(outputs, {1, nash_swarm::panel_rows}),
                     support::serial, *nash_swarm::instruction_set_named(set));
}

void list_formats() {
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    if (format.block_bytes > 0) std::puts(std::string(format.name).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && argv[1] == std::string_view("formats")) {
    list_formats();
    return 0;
  }
  if (argc != 4) return 2;
  try {
    multiply(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
