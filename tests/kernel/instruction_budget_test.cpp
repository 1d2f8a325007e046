#include <nash_swarm/kernel/panel_product.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <string_view>

#include <nash_swarm/matmul.hpp>

#include "support/instruction_count.hpp"
#include "support/one_panel.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

// Of g++'s optimised code for x86 only: what else there is has other numbers.
#if defined(__OPTIMIZE__) && defined(NDEBUG) && defined(__GNUC__) && !defined(__clang__) && \
    defined(__x86_64__)

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

/// All told: what a panel of 256 channels takes more than a pruned one. As counted with g++ 12. (On
/// ARM: tests/emulated/arm_budgets.sh.)
struct Budget {
  std::string_view format;
  Instructions avx2;
  Instructions avxvnni;
  Instructions avx512vnni_bw;
  Instructions avx512vnni;
};
constexpr Budget budgets[] = {
    {"b1_l4", {17.8}, {14.7}, {6.2}, {5.2, 5.0}},
    {"b2_l2", {14.7}, {11.0}, {5.1}, {4.3, 5.1}},
    {"b2_l4", {16.8}, {13.8}, {5.8}, {4.7, 5.1}},
    {"b3_l3", {21.0}, {18.2}, {7.2}, {6.3, 6.9}},
    {"b3_l4", {24.7}, {22.2}, {8.0}, {7.2, 8.3}},
    {"b4_l4", {14.2, 14.6}, {10.3, 10.5}, {5.2, 6.0}, {4.8, 5.5}},
    {"b1_l6", {43.6}, {43.5}, {13.2}, {5.8, 5.9}},
    {"b2_l6", {41.4}, {39.3}, {13.1}, {5.2, 5.6}},
    {"b3_l6", {50.1}, {49.1}, {15.0}, {8.0, 8.6}},
    {"b4_l6", {42.2}, {42.6}, {13.3}, {6.3, 7.1}},
    {"b1_l8", {134.5}, {131.9}, {34.3}, {11.7}},
    {"b2_l8", {133.6}, {130.0}, {33.8}, {11.0}},
    {"b3_l8", {143.0}, {140.1}, {35.7}, {13.2}},
    {"b4_l8", {129.1}, {125.9}, {33.5}, {10.8}},
    {"b1_l12", {35.0}, {33.0}, {11.6}, {9.1}},
    {"b2_l12", {31.3}, {29.9}, {10.4}, {9.1}},
    {"b3_l12", {40.5}, {40.0}, {13.6}, {10.3}},
    {"b4_l12", {26.4}, {24.5}, {9.4}, {9.6}},
    {"b1_hash16", {43.4}, {35.8}, {15.1}, {10.5}},
    {"b1.5_hash16", {44.4}, {37.4}, {15.4}, {10.7}},
    {"b2_hash16", {37.5}, {30.2}, {13.1}, {9.6}},
    {"b2.5_hash16", {43.6}, {37.1}, {14.1}, {10.1}},
    {"b3_hash16", {42.9}, {35.5}, {13.9}, {10.1}},
    {"b3.5_hash16", {45.1}, {38.1}, {14.1}, {10.3}},
    {"b4_hash16", {38.2}, {31.1}, {12.6}, {9.9}},
    {"b1_hash32", {64.5}, {56.5}, {25.4}, {20.5}},
    {"b1.5_hash32", {65.1}, {59.2}, {25.9}, {20.7}},
    {"b2_hash32", {57.7}, {52.2}, {23.7}, {19.6}},
    {"b2.5_hash32", {65.4}, {59.3}, {24.7}, {20.2}},
    {"b3_hash32", {63.5}, {56.9}, {24.5}, {20.1}},
    {"b3.5_hash32", {66.7}, {59.9}, {24.6}, {20.4}},
    {"b4_hash32", {59.2}, {52.7}, {23.8}, {19.9}},
    {"linear5", {20.2, 20.6}, {17.8, 17.2}, {6.3, 7.3}, {6.3, 7.3}},
    {"linear6", {20.4, 20.9}, {16.5, 17.3}, {6.4, 7.5}, {6.4, 7.5}},
    {"linear8", {15.3, 14.8}, {7.4, 7.0}, {3.9, 4.6}, {3.9, 4.6}},
    {"raw16", {52.6}, {52.6}, {48.5}, {48.5}},
    {"mixed", {25.3}, {22.1}, {11.3}, {11.1}},
};
struct Column {
  InstructionSet set;
  Instructions Budget::*budget;
};
constexpr Column sets_with_budgets[] = {{InstructionSet::avx2, &Budget::avx2},
                                        {InstructionSet::avxvnni, &Budget::avxvnni},
                                        {InstructionSet::avx512vnni_bw, &Budget::avx512vnni_bw},
                                        {InstructionSet::avx512vnni, &Budget::avx512vnni}};

constexpr std::size_t counted_channels = 256;
constexpr double vectors = counted_channels * nash_swarm::panel_rows / 64.0;

/// Of the product of one panel with one token.
std::optional<std::size_t> instructions_of(std::string_view format, InstructionSet set,
                                           LineFetch fetch) {
  const auto matrix = support::one_panel(format, counted_channels);
  const auto inputs = support::random_inputs(1, counted_channels, 2);
  const nash_swarm::Activations x = nash_swarm::quantize_activations(
      matrix.basis(), support::rows_of(inputs, counted_channels), serial);
  float outputs[nash_swarm::panel_rows];
  const nash_swarm::TensorView<float, 2> y{outputs, {1, nash_swarm::panel_rows}};
  const auto product = nash_swarm::detail::panel_product_for(set, fetch);
  const auto call = [&] { product.multiply(matrix, {0, 1, 0, 1}, x, y); };
  call();
  return support::count_instructions(call);
}

void check_budgets(const Column& column, LineFetch fetch) {
  const std::size_t pruned = *instructions_of("pruned", column.set, fetch);
  for (const Budget& budget : budgets) {
    const Instructions& own = budget.*column.budget;
    // Where both take as many, they differ by where they ask, not by how often.
    if (fetch == LineFetch::single && own.single == own.in_pairs) continue;
    CAPTURE(budget.format);
    const std::size_t more = *instructions_of(budget.format, column.set, fetch) - pruned;
    const double counted = static_cast<double>(more) / vectors;
    const double budgeted = fetch == LineFetch::single ? own.single : own.in_pairs;
    CHECK(counted < 1.1 * budgeted);
    CHECK(counted > 0.8 * budgeted);  // a budget that is no longer tight
  }
}

}  // namespace

TEST_CASE("instruction budget: every format has one") {
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    CAPTURE(format.name);
    const auto own = [&](const Budget& budget) { return budget.format == format.name; };
    CHECK((std::ranges::any_of(budgets, own) || format.name == "pruned"));
  }
}

TEST_CASE("instruction budget: one token's products take no more instructions than they should") {
  if (!support::count_instructions([] {})) {
    const char* const problem =
        "this system does not let a program step through itself: nothing was counted";
    if (std::getenv("CI") != nullptr) FAIL(problem);  // no rule of a container forbids it
    MESSAGE(problem);
    return;
  }
  for (const Column& column : sets_with_budgets) {
    if (!nash_swarm::is_supported(column.set)) continue;
    CAPTURE(static_cast<int>(column.set));
    for (const LineFetch fetch : {LineFetch::in_pairs, LineFetch::single}) {
      CAPTURE(fetch);
      check_budgets(column, fetch);
    }
  }
}

#endif
