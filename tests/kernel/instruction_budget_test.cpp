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

/// Instructions for 64 weights of one token, where codes are asked for in pairs of lines, and where
/// lines are asked for one by one, and twice.
struct Instructions {
  double in_pairs;
  double single = in_pairs;
};

/// All told: decoding, products, and what is done for every run of 256 channels. As counted with
/// g++ 12.
struct Budget {
  std::string_view format;
  Instructions avx2;
  Instructions avx512vnni_bw;
  Instructions avx512vnni;
};
constexpr Budget budgets[] = {
    {"b1_l4", {17.8}, {6.3}, {4.5, 4.7}},
    {"b2_l2", {14.9}, {5.3}, {4.4, 4.8}},
    {"b2_l4", {16.9}, {6.1}, {4.4, 4.8}},
    {"b3_l3", {21.1}, {7.5}, {5.9, 6.5}},
    {"b3_l4", {24.8}, {8.2}, {7.4, 8.0}},
    {"b4_l4", {15.0, 14.8}, {5.0, 5.7}, {4.5, 5.3}},
    {"b1_l6", {43.4}, {13.3}, {5.3, 5.5}},
    {"b2_l6", {41.4}, {13.2}, {4.9, 5.3}},
    {"b3_l6", {50.0}, {15.0}, {7.6, 8.1}},
    {"b4_l6", {42.1}, {13.5}, {6.0, 6.8}},
    {"b2_l8", {133.0}, {33.9}, {11.2}},
    {"b3_l8", {142.3}, {35.8}, {13.4}},
    {"b4_l8", {128.6}, {33.6}, {11.0}},
    {"b1_l12", {34.9}, {11.7}, {9.2}},
    {"b2_l12", {31.2}, {10.6}, {9.2}},
    {"b3_l12", {40.4}, {13.7}, {10.4}},
    {"b4_l12", {26.4}, {9.6}, {9.8}},
    {"b2_hash16", {37.7}, {13.3}, {9.8}},
    {"b2.5_hash16", {43.8}, {14.4}, {10.4}},
    {"b3_hash16", {43.0}, {14.1}, {10.4}},
    {"b4_hash16", {38.4}, {12.8}, {10.1}},
    {"b2_hash32", {57.8}, {23.9}, {19.9}},
    {"b3_hash32", {63.6}, {24.7}, {20.4}},
    {"b3.5_hash32", {66.8}, {24.8}, {20.6}},
    {"b4_hash32", {59.3}, {24.0}, {20.1}},
    {"linear5", {21.0, 20.9}, {6.0, 7.0}, {6.0, 7.0}},
    {"linear6", {21.3, 21.2}, {6.1, 7.2}, {6.1, 7.2}},
    {"linear8", {16.2, 15.0}, {3.7, 5.2}, {3.7, 5.2}},
    {"raw16", {52.9}, {48.8}, {48.8}},
};
struct Column {
  InstructionSet set;
  Instructions Budget::*budget;
};
constexpr Column sets_with_budgets[] = {{InstructionSet::avx2, &Budget::avx2},
                                        {InstructionSet::avx512vnni_bw, &Budget::avx512vnni_bw},
                                        {InstructionSet::avx512vnni, &Budget::avx512vnni}};

/// Of the product of one panel of so many channels with one token.
std::optional<std::size_t> instructions_of(std::string_view format, InstructionSet set,
                                           LineFetch fetch, std::size_t channels) {
  const auto matrix = support::any_matrix(
      nash_swarm::panel_rows, std::make_shared<nash_swarm::InputBasis>("x", channels, 256, 1),
      [&](auto, auto) { return nash_swarm::format_index(format); }, 1);
  const auto inputs = support::random_inputs(1, channels, 2);
  const nash_swarm::Activations x =
      nash_swarm::quantize_activations(matrix.basis(), support::rows_of(inputs, channels), serial);
  float outputs[nash_swarm::panel_rows];
  const nash_swarm::TensorView<float, 2> y{outputs, {1, nash_swarm::panel_rows}};
  const auto product = nash_swarm::detail::panel_product_for(set, fetch);
  const auto call = [&] { product.multiply(matrix, {0, 1, 0, 1}, x, y); };
  call();
  return support::count_instructions(call);
}

}  // namespace

TEST_CASE("instruction budget: one token's products take no more instructions than they should") {
  for (const Column& column : sets_with_budgets) {
    if (!nash_swarm::is_supported(column.set)) continue;
    CAPTURE(static_cast<int>(column.set));
    for (const Budget& budget : budgets) {
      CAPTURE(budget.format);
      for (const LineFetch fetch : {LineFetch::in_pairs, LineFetch::single}) {
        const Instructions& own = budget.*column.budget;
        // Where both take as many, they differ by where they ask, not by how often.
        if (fetch == LineFetch::single && own.single == own.in_pairs) continue;
        CAPTURE(fetch);
        const auto less = instructions_of(budget.format, column.set, fetch, 256);
        const auto more = instructions_of(budget.format, column.set, fetch, 512);
        if (!less || !more) {
          MESSAGE("this system does not let a program be stepped through: nothing was counted");
          return;
        }
        const double vectors = 256.0 * nash_swarm::panel_rows / 64.0;
        const double counted = static_cast<double>(*more - *less) / vectors;
        const double budgeted = fetch == LineFetch::single ? own.single : own.in_pairs;
        CHECK(counted < 1.1 * budgeted);
        CHECK(counted > 0.8 * budgeted);  // a budget that is no longer tight
      }
    }
  }
}

#endif
