// Quantizes a small matrix and multiplies by it; prints the bytes and the outputs.
#if defined(CONSUMER_SINGLE_HEADER)
#include <nash_swarm.hpp>
#else
#include <nash_swarm/quantize.hpp>
#endif

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

namespace ns = nash_swarm;

namespace {

/// Numbers of −0.5 to 0.5.
std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::vector<float> values(count);
  for (float& value : values) {
    seed = seed * 1664525u + 1013904223u;
    value = static_cast<float>(seed >> 8) / 16777216.0F - 0.5F;
  }
  return values;
}

}  // namespace

int main() {
  constexpr std::size_t in = 128;
  constexpr std::size_t out = 48;
  constexpr std::size_t samples = 16;
  const std::vector<float> weights = numbers(out * in, 1);
  const std::vector<float> inputs = numbers(samples * in, 2);
  const ns::TensorView<const float, 2> matrix{weights.data(), {out, in}};
  const ns::TensorView<const float, 2> x{inputs.data(), {samples, in}};

  ns::ThreadPool executor(2);
  ns::InputMoment moment("w.input", in);
  moment.add(x, executor);
  ns::MatrixPlan plan;
  plan.name = "w";
  plan.out_features = out;
  plan.in_features = in;
  plan.basis = std::make_shared<const ns::InputBasis>("w.input", in, 64, 7);
  const ns::FormatId format = ns::format_table[ns::format_index("b3_l6")].id;
  plan.cells = ns::CellMap(ns::panel_count(out), in / 64, format);
  const ns::PackedMatrix packed = ns::pack(matrix, plan, moment, executor);
  std::vector<float> outputs(samples * out);
  ns::matmul(packed, x, {outputs.data(), {samples, out}}, executor);

  for (const std::uint8_t run : packed.run_table()) std::printf("%02x", run);
  for (const std::byte code : packed.codes()) std::printf("%02x", static_cast<unsigned>(code));
  for (const float value : outputs) std::printf("\n%a", static_cast<double>(value));
  return packed.codes().empty() ? 1 : 0;
}
