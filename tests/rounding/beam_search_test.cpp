#include <nash_swarm/rounding/beam_search.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include <nash_swarm/kernel/matmul.hpp>
#include <nash_swarm/rounding/nearest.hpp>

#include "support/moments.hpp"

namespace ns = nash_swarm;
using ns::FormatId;
using ns::InstructionSet;
using Row = std::vector<float>;

namespace {

Row gaussian(std::size_t count, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  Row row(count);
  for (float& x : row) x = normal(engine);
  return row;
}

FormatId id_of(const char* name) {
  return ns::format_table[ns::format_index(name)].id;
}

struct Rounded {
  std::vector<std::uint16_t> codes;
  Row values;
};

Rounded search(const Row& weights, const std::vector<FormatId>& formats,
               const ns::ErrorFeedback* feedback, InstructionSet set) {
  Rounded result{std::vector<std::uint16_t>(weights.size()), Row(weights.size())};
  const auto memory = std::make_unique<ns::detail::BeamMemory>();
  ns::detail::BeamSearch({weights, formats, feedback, result.codes.data(), result.values.data()},
                         *memory, set)
      .run();
  return result;
}

double squared(const Row& a, const Row& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += error * error;
  }
  return sum;
}

std::vector<InstructionSet> supported_sets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::portable, InstructionSet::avx2, InstructionSet::avx512}) {
    if (ns::is_supported(set)) sets.push_back(set);
  }
  return sets;
}

/// Formats of every kind in one row.
std::vector<FormatId> mixed_formats() {
  return {id_of("b2_hash32"),   id_of("b3.5_hash32"), id_of("pruned"),    id_of("linear8"),
          id_of("b1.5_hash32"), id_of("b4_hash32"),   id_of("b3_hash16"), id_of("b3_l3")};
}

}  // namespace

TEST_CASE("beam search: the noise of every stream format on Gaussian rows") {
  for (const ns::Format& format : ns::format_table) {
    if (format.family == ns::StreamFamily::none) continue;
    CAPTURE(format.name);
    const Row weights = gaussian(12 * 1024, 5);
    double noise = 0.0;
    for (std::size_t row = 0; row < 12; ++row) {
      const Row part(weights.begin() + static_cast<std::ptrdiff_t>(row * 1024),
                     weights.begin() + static_cast<std::ptrdiff_t>((row + 1) * 1024));
      const std::vector<FormatId> formats(16, format.id);
      noise += squared(part, search(part, formats, nullptr, ns::widest_instruction_set()).values);
    }
    const double decibels =
        10.0 * std::log10(noise / squared(weights, Row(weights.size())) / format.gaussian_noise);
    CHECK(std::fabs(decibels) < 0.25);  // 12,288 samples
  }
}

TEST_CASE("beam search: the same codes with every instruction set") {
  const Row weights = gaussian(8 * 64, 3);
  const Rounded expected = search(weights, mixed_formats(), nullptr, InstructionSet::portable);
  for (const InstructionSet set : supported_sets()) {
    CAPTURE(static_cast<int>(set));
    // Compilers may fuse products with sums, which decides ties otherwise.
    const Rounded rounded = search(weights, mixed_formats(), nullptr, set);
    CHECK(squared(weights, rounded.values) ==
          doctest::Approx(squared(weights, expected.values)).epsilon(0.02).scale(0.0));
  }
}

TEST_CASE("beam search: values are those that the codes decode to") {
  const auto basis = std::make_shared<const ns::InputBasis>("w.input", 512, 0, 0);
  const auto formats = mixed_formats();
  ns::CellMap cells(1, formats.size(), FormatId{0});
  for (std::size_t b = 0; b < formats.size(); ++b) cells(0, b) = formats[b];
  const Row weights = gaussian(3 * 512, 4);
  ns::SerialExecutor serial;
  const ns::PackedMatrix packed = ns::round_to_nearest(
      "w", ns::TensorView<const float, 2>(weights.data(), {3, 512}), basis, cells, serial);
  for (std::size_t row = 0; row < 3; ++row) {
    Row decoded(512);
    ns::decode_row(packed, row, ns::TensorView<float, 1>(decoded.data(), {512}));
    const Row source(weights.begin() + static_cast<std::ptrdiff_t>(row * 512),
                     weights.begin() + static_cast<std::ptrdiff_t>((row + 1) * 512));
    double expected = 0.0;
    for (std::size_t k = 0; k < 512; ++k) {
      const ns::Format& format = ns::format_table[ns::format_index(formats[k / 64])];
      expected +=
          format.gaussian_noise * static_cast<double>(source[k]) * static_cast<double>(source[k]);
    }
    // Streams that have just started have few codes to choose from.
    CHECK(squared(source, decoded) < 1.3 * expected);
  }
}

TEST_CASE("beam search: errors that feed back cost less than those that do not") {
  constexpr std::size_t in = 128;
  const Row x = support::correlated(2000, in, 6);
  ns::SerialExecutor serial;
  ns::InputMoment moment("w", in);
  moment.add(ns::TensorView<const float, 2>(x.data(), {2000, in}), serial);
  const ns::InputBasis basis("w.input", in, 0, 0);
  const ns::ErrorFeedback feedback(moment, basis);
  const std::vector<FormatId> formats(2, id_of("b3_hash32"));
  const auto cost = [&](const Row& weights, const Row& values) {
    double sum = 0.0;
    for (std::size_t a = 0; a < in; ++a) {
      for (std::size_t b = 0; b < in; ++b) {
        sum += static_cast<double>(weights[a] - values[a]) * moment(a, b) *
               static_cast<double>(weights[b] - values[b]);
      }
    }
    return sum;
  };
  double with = 0.0;
  double without = 0.0;
  double nearest = 0.0;
  for (unsigned row = 0; row < 8; ++row) {
    const Row weights = gaussian(in, 20 + row);
    const InstructionSet set = ns::widest_instruction_set();
    with += cost(weights, search(weights, formats, &feedback, set).values);
    without += cost(weights, search(weights, formats, nullptr, set).values);
    // A scalar format of equal bits, with feedback.
    const std::vector<FormatId> scalar(2, id_of("b3_l3"));
    nearest += cost(weights, search(weights, scalar, &feedback, set).values);
  }
  CHECK(with < 0.6 * without);
  CHECK(with < 0.85 * nearest);
}

TEST_CASE("beam search: the unit of the moments does not matter") {
  constexpr std::size_t in = 128;
  const ns::InputBasis basis("w.input", in, 0, 0);
  const Row weights = gaussian(in, 30);
  const std::vector<FormatId> formats(2, id_of("b3_hash32"));
  ns::SerialExecutor serial;
  std::vector<Rounded> rounded;
  for (const float unit : {1.0f, 0x1p-20f, 0x1p20f}) {
    Row x = support::correlated(500, in, 6);
    for (float& value : x) value *= unit;
    ns::InputMoment moment("w", in);
    moment.add(ns::TensorView<const float, 2>(x.data(), {500, in}), serial);
    const ns::ErrorFeedback feedback(moment, basis);
    rounded.push_back(search(weights, formats, &feedback, ns::widest_instruction_set()));
  }
  CHECK(rounded[1].codes == rounded[0].codes);
  CHECK(rounded[2].codes == rounded[0].codes);
}

TEST_CASE("beam search: short rows, and rows of zeros") {
  for (const std::size_t blocks : {1u, 2u}) {
    const std::vector<FormatId> formats(blocks, id_of("b2_hash32"));
    const Row zeros(blocks * 64);
    const Rounded rounded = search(zeros, formats, nullptr, ns::widest_instruction_set());
    CHECK(squared(zeros, rounded.values) < 0.15 * static_cast<double>(blocks * 64));
    for (const std::uint16_t code : rounded.codes) CHECK(code < 4);
  }
}
