#include <nash_swarm/rounding/panel_rounding.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <nash_swarm/calibration/input_moment.hpp>
#include <nash_swarm/rounding/nearest.hpp>

#include "support/decoding.hpp"
#include "support/gaussian.hpp"
#include "support/moments.hpp"
#include "support/products.hpp"
#include "support/serial.hpp"

namespace ns = nash_swarm;
using ns::FormatId;
using support::gaussian;
using support::Row;
using support::serial;

namespace {

constexpr std::size_t rows = ns::panel_rows;

FormatId id_of(const char* name) {
  return ns::format_table[ns::format_index(name)].id;
}

/// Weights [16, in] packed and decoded again.
Row packed(const Row& weights, const std::vector<FormatId>& formats,
           const ns::ErrorFeedback* feedback, std::size_t rotation = 0) {
  const std::size_t in = weights.size() / rows;
  const auto basis = std::make_shared<const ns::InputBasis>("w.input", in, rotation, 7);
  ns::CellMap cells(1, formats.size(), FormatId{0});
  for (std::size_t b = 0; b < formats.size(); ++b) cells(0, b) = formats[b];
  const ns::TensorView<const float, 2> view(weights.data(), {rows, in});
  return support::decoded(
      feedback == nullptr
          ? ns::round_to_nearest("w", view, basis, cells, serial)
          : ns::round_matrix("w", view, basis, cells, ns::PanelFeedback(*feedback), serial));
}

/// Σ over the rows of eᵀHe.
double cost(const Row& weights, const Row& decoded, const ns::InputMoment& moment) {
  const std::size_t in = moment.in_features();
  double sum = 0.0;
  for (std::size_t row = 0; row < rows; ++row) {
    const auto error = [&](std::size_t k) {
      return static_cast<double>(weights[row * in + k] - decoded[row * in + k]);
    };
    for (std::size_t a = 0; a < in; ++a) {
      for (std::size_t b = 0; b < in; ++b) sum += error(a) * moment(a, b) * error(b);
    }
  }
  return sum;
}

ns::InputMoment correlated_moment(std::size_t in, float unit = 1.0f) {
  Row x = support::correlated(2000, in, 6);
  for (float& value : x) value *= unit;
  ns::InputMoment moment("w", in);
  moment.add(ns::TensorView<const float, 2>(x.data(), {2000, in}), serial);
  return moment;
}

}  // namespace

TEST_CASE("panel rounding: formats of every kind side by side") {
  const std::vector<FormatId> formats{id_of("b2_hash32"), id_of("b3.5_hash32"), id_of("pruned"),
                                      id_of("linear8"),   id_of("b1.5_hash32"), id_of("b4_hash16"),
                                      id_of("b3_hash16"), id_of("b3_l3")};
  const std::size_t in = 64 * formats.size();
  const Row weights = gaussian(rows * in, 4);
  const Row decoded = packed(weights, formats, nullptr);
  for (std::size_t b = 0; b < formats.size(); ++b) {
    const ns::Format& format = ns::format_table[ns::format_index(formats[b])];
    CAPTURE(format.name);
    double energy = 0.0;
    double noise = 0.0;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t k = 64 * b; k < 64 * (b + 1); ++k) {
        const double weight = static_cast<double>(weights[row * in + k]);
        const double error = weight - static_cast<double>(decoded[row * in + k]);
        energy += weight * weight;
        noise += error * error;
      }
    }
    // A few weights beyond the largest value make most of the noise of 8 bits.
    CHECK(noise < (1.2 * format.gaussian_noise + 1e-4) * energy);
    CHECK(noise > 0.8 * format.gaussian_noise * energy);
  }
}

TEST_CASE("panel rounding: errors that feed back cost less than those that do not") {
  constexpr std::size_t in = 128;
  const ns::InputMoment moment = correlated_moment(in);
  const ns::InputBasis basis("w.input", in, 128, 7);
  const ns::ErrorFeedback feedback(moment, basis);
  const Row weights = gaussian(rows * in, 20);
  const std::vector<FormatId> windows(2, id_of("b3_hash32"));
  const double with = cost(weights, packed(weights, windows, &feedback, 128), moment);
  const double without = cost(weights, packed(weights, windows, nullptr, 128), moment);
  // A scalar format of equal bits, with feedback.
  const std::vector<FormatId> scalar(2, id_of("b3_l3"));
  const double nearest = cost(weights, packed(weights, scalar, &feedback, 128), moment);
  CHECK(with < 0.6 * without);
  CHECK(with < 0.75 * nearest);
}

TEST_CASE("panel rounding: the loss is what the errors cost") {
  constexpr std::size_t in = 128;
  const ns::InputMoment moment = correlated_moment(in);
  const ns::InputBasis basis("w.input", in, 0, 0);
  const ns::ErrorFeedback feedback(moment, basis);
  const Row weights = gaussian(rows * in, 21);
  for (const char* name : {"b2_hash32", "b3_l3", "pruned"}) {
    CAPTURE(name);
    const std::vector<FormatId> formats(2, id_of(name));
    std::vector<std::uint16_t> codes(rows * in);
    ns::BFloat16 scales[rows];
    const double loss =
        ns::detail::round_panel_codes(weights.data(), formats, &feedback, codes.data(), scales);
    // Refitting scales and damping move both a little.
    const double measured = cost(weights, packed(weights, formats, &feedback), moment);
    CHECK(loss > 0.97 * measured);
    CHECK(loss < 1.2 * measured);
  }
}

TEST_CASE("panel rounding: the unit of the moments does not matter") {
  constexpr std::size_t in = 128;
  const ns::InputBasis basis("w.input", in, 0, 0);
  const Row weights = gaussian(rows * in, 30);
  const std::vector<FormatId> formats(2, id_of("b3_hash32"));
  std::vector<Row> decoded;
  for (const float unit : {1.0f, 0x1p-20f, 0x1p20f}) {
    const ns::ErrorFeedback feedback(correlated_moment(in, unit), basis);
    decoded.push_back(packed(weights, formats, &feedback));
  }
  CHECK(decoded[1] == decoded[0]);
  CHECK(decoded[2] == decoded[0]);
}

TEST_CASE("panel rounding: rows of zeros stay zeros") {
  Row weights = gaussian(rows * 64, 31);
  for (std::size_t k = 0; k < 64; ++k) weights[5 * 64 + k] = 0.0f;
  const ns::InputMoment moment = correlated_moment(64);
  const ns::ErrorFeedback feedback(moment, ns::InputBasis("w.input", 64, 0, 0));
  for (const char* name : {"b2_hash32", "b3_l3"}) {
    const Row decoded = packed(weights, {id_of(name)}, &feedback);
    for (std::size_t k = 0; k < 64; ++k) CHECK(decoded[5 * 64 + k] == 0.0f);
  }
}
