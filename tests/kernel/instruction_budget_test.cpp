#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include <nash_swarm/matmul.hpp>

#include "support/instruction_count.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

// Of g++'s optimised code only: what else there is has other numbers.
#if defined(__OPTIMIZE__) && defined(NDEBUG) && defined(__GNUC__) && !defined(__clang__)

using nash_swarm::InstructionSet;
using nash_swarm::detail::LineFetch;
using support::serial;

namespace {

/// Instructions for 64 weights of one token, all told: decoding, products, and what is done for
/// every run of 256 channels. As counted with g++ 12.
struct Budget {
  std::string_view format;
  InstructionSet set;
  double instructions;
  double for_single_lines = instructions;  // which are asked for one by one, and twice
};
constexpr InstructionSet avx2 = InstructionSet::avx2;
constexpr InstructionSet avx512 = InstructionSet::avx512vnni;
constexpr Budget budgets[] = {
    {"b1_l4", avx2, 17.8},         {"b2_l2", avx2, 14.9},         {"b2_l4", avx2, 16.9},
    {"b3_l3", avx2, 21.1},         {"b3_l4", avx2, 24.8},         {"b4_l4", avx2, 15.5},
    {"b1_l6", avx2, 43.4},         {"b2_l6", avx2, 41.4},         {"b3_l6", avx2, 50.0},
    {"b4_l6", avx2, 42.1},         {"b2_l8", avx2, 133.0},        {"b3_l8", avx2, 142.3},
    {"b4_l8", avx2, 128.6},        {"b1_l12", avx2, 34.9},        {"b2_l12", avx2, 31.2},
    {"b3_l12", avx2, 40.4},        {"b4_l12", avx2, 26.4},        {"b2_hash16", avx2, 37.7},
    {"b2.5_hash16", avx2, 43.8},   {"b3_hash16", avx2, 43.0},     {"b4_hash16", avx2, 38.4},
    {"b2_hash32", avx2, 57.8},     {"b3_hash32", avx2, 63.6},     {"b3.5_hash32", avx2, 66.8},
    {"b4_hash32", avx2, 59.3},     {"linear5", avx2, 20.9},       {"linear6", avx2, 21.2},
    {"linear8", avx2, 15.0},       {"raw16", avx2, 52.9},         {"b1_l4", avx512, 4.5, 4.7},
    {"b2_l2", avx512, 4.4, 4.8},   {"b2_l4", avx512, 4.4, 4.8},   {"b3_l3", avx512, 5.9, 6.5},
    {"b3_l4", avx512, 7.4, 8.0},   {"b4_l4", avx512, 4.5, 5.3},   {"b1_l6", avx512, 5.3, 5.5},
    {"b2_l6", avx512, 4.9, 5.3},   {"b3_l6", avx512, 7.6, 8.1},   {"b4_l6", avx512, 6.0, 6.8},
    {"b2_l8", avx512, 11.2},       {"b3_l8", avx512, 13.4},       {"b4_l8", avx512, 11.0},
    {"b1_l12", avx512, 9.2},       {"b2_l12", avx512, 9.2},       {"b3_l12", avx512, 10.4},
    {"b4_l12", avx512, 9.8},       {"b2_hash16", avx512, 9.8},    {"b2.5_hash16", avx512, 10.4},
    {"b3_hash16", avx512, 10.4},   {"b4_hash16", avx512, 10.1},   {"b2_hash32", avx512, 19.9},
    {"b3_hash32", avx512, 20.4},   {"b3.5_hash32", avx512, 20.6}, {"b4_hash32", avx512, 20.1},
    {"linear5", avx512, 6.0, 7.0}, {"linear6", avx512, 6.1, 7.2}, {"linear8", avx512, 3.7, 5.2},
    {"raw16", avx512, 48.8}};

/// Of the product of one panel of so many channels with one token.
std::optional<std::size_t> instructions_of(const Budget& budget, LineFetch fetch,
                                           std::size_t channels) {
  const auto matrix = support::any_matrix(
      nash_swarm::panel_rows, std::make_shared<nash_swarm::InputBasis>("x", channels, 256, 1),
      [&](auto, auto) { return nash_swarm::format_index(budget.format); }, 1);
  const auto inputs = support::random_inputs(1, channels, 2);
  const nash_swarm::Activations x =
      nash_swarm::quantize_activations(matrix.basis(), support::rows_of(inputs, channels), serial);
  float outputs[nash_swarm::panel_rows];
  const nash_swarm::TensorView<float, 2> y{outputs, {1, nash_swarm::panel_rows}};
  const auto product = nash_swarm::detail::panel_product_for(budget.set, fetch);
  const auto call = [&] { product.multiply(matrix, {0, 1, 0, 1}, x, y); };
  call();
  return support::count_instructions(call);
}

}  // namespace

TEST_CASE("instruction budget: one token's products take no more instructions than they should") {
  for (const Budget& budget : budgets) {
    if (!nash_swarm::is_supported(budget.set)) continue;
    for (const LineFetch fetch : {LineFetch::single, LineFetch::in_pairs}) {
      // With AVX2 they differ by where they ask, not by how often.
      if (budget.set == avx2 && fetch == LineFetch::in_pairs) continue;
      CAPTURE(budget.format);
      CAPTURE(fetch);
      const auto less = instructions_of(budget, fetch, 256);
      const auto more = instructions_of(budget, fetch, 512);
      if (!less || !more) {
        MESSAGE("this system does not let a program be stepped through: nothing was counted");
        return;
      }
      const double vectors = 256.0 * nash_swarm::panel_rows / 64.0;
      const double counted = static_cast<double>(*more - *less) / vectors;
      const double budgeted =
          fetch == LineFetch::single ? budget.for_single_lines : budget.instructions;
      CHECK(counted < 1.1 * budgeted);
      CHECK(counted > 0.8 * budgeted);  // a budget that is no longer tight
    }
  }
}

#endif
