#include <nash_swarm/rounding/nearest.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/matmul.hpp>

#include "io/support.hpp"
#include "support/decoding.hpp"
#include "support/gaussian.hpp"
#include "support/products.hpp"
#include "support/random_matrix.hpp"
#include "support/serial.hpp"

namespace {

using nash_swarm::CellMap;
using nash_swarm::FormatId;
using nash_swarm::InputBasis;
using nash_swarm::PackedMatrix;
using nash_swarm::test::message_of;
using support::decoded;
using support::gaussian;
using support::Row;
using support::serial;

template <class E>
PackedMatrix round(const Row& weights, std::size_t out, std::size_t rotation, FormatId format,
                   E& executor) {
  const std::size_t in = weights.size() / out;
  const auto basis = std::make_shared<const InputBasis>("w.input", in, rotation, 99);
  const CellMap cells(nash_swarm::panel_count(out), nash_swarm::block_count(in), format);
  return nash_swarm::round_to_nearest("w", support::rows_of(weights, in), basis, cells, executor);
}

PackedMatrix round(const Row& weights, std::size_t out, std::size_t rotation, FormatId format) {
  return round(weights, out, rotation, format, serial);
}

double squared_error(const Row& a, const Row& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += error * error;
  }
  return sum;
}

double square(const Row& a) {
  return squared_error(a, Row(a.size()));
}

}  // namespace

TEST_CASE("nearest: every format has its expected error on Gaussian rows") {
  const Row weights = gaussian(256 * 256, 1);
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    if (format.family != nash_swarm::WindowFamily::none) continue;  // not rounded to the nearest
    for (const std::size_t rotation : {0u, 256u}) {
      CAPTURE(format.name);
      CAPTURE(rotation);
      const Row found = decoded(round(weights, 256, rotation, format.id));
      const double noise = squared_error(weights, found) / square(weights);
      // Rows of 256 have fewer outliers than endless ones, and each row has a scale of its own:
      // fine formats lose a little less than expected.
      const double decibels = 10 * std::log10(noise / format.gaussian_noise);
      CHECK(decibels < 0.05);
      CHECK(decibels > -1.0);
    }
  }
}

TEST_CASE("nearest: the size of a row does not change its relative error") {
  const Row weights = gaussian(256, 2);
  const double expected = squared_error(weights, decoded(round(weights, 1, 256, FormatId{4})));
  for (const int exponent : {-100, -20, 20, 100}) {
    Row scaled = weights;
    for (float& weight : scaled) weight = std::ldexp(weight, exponent);
    const double error = squared_error(scaled, decoded(round(scaled, 1, 256, FormatId{4})));
    CHECK(std::ldexp(error, -2 * exponent) == doctest::Approx(expected).epsilon(1e-3).scale(0.0));
  }
}

TEST_CASE("nearest: rows of zeros are stored exactly in every format") {
  Row weights = gaussian(3 * 100, 3);
  std::fill_n(weights.begin() + 100, 100, 0.0f);
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    CAPTURE(format.name);
    const PackedMatrix matrix = round(weights, 3, 128, format.id);
    const Row found = decoded(matrix);
    CHECK(square({found.begin() + 100, found.begin() + 200}) == 0.0);
    CHECK(matrix.row_scales()[1].bits == 0);
    if (format.block_bytes != 0) CHECK(square(found) > 100.0);
  }
}

TEST_CASE("nearest: constant rows are exact up to the rounding of their scale") {
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    if (format.family != nash_swarm::WindowFamily::none) continue;  // not rounded to the nearest
    if (format.block_bytes == 0) continue;
    for (const float constant : {0.7f, -3e-5f}) {
      CAPTURE(format.name);
      const Row weights(64, constant);
      for (const float weight : decoded(round(weights, 1, 0, format.id))) {
        CHECK(weight == doctest::Approx(constant).epsilon(0.004).scale(0.0));
      }
    }
  }
}

TEST_CASE("nearest: one outlier costs no more than a step of the scale that clips nothing") {
  for (const int bits : {8, 16}) {
    for (const float outlier : {1000.0f, 1001.0f, -1009.0f, 1234.5f, -1999.0f}) {
      CAPTURE(bits);
      CAPTURE(outlier);
      Row weights = gaussian(256, 4);
      weights[77] = outlier;
      const Row found = decoded(round(weights, 1, 0, FormatId{static_cast<std::uint8_t>(bits)}));
      // The scale is stored with 8 significant bits, so a step may be 1/128 longer.
      const double largest = bits == 8 ? 127.0 : 32767.0;
      const double step = std::fabs(static_cast<double>(outlier)) / largest * (1.0 + 0x1p-7);
      for (std::size_t k = 0; k < weights.size(); ++k) {
        CAPTURE(k);
        CHECK(std::fabs(static_cast<double>(found[k] - weights[k])) <= step);
      }
      CHECK(squared_error(weights, found) <= 256 * step * step / 4);
    }
  }
}

TEST_CASE("nearest: rows too small to be scaled become zeros") {
  for (const float tiny : {std::numeric_limits<float>::denorm_min(), 1e-40f, 2e-38f}) {
    for (const nash_swarm::Format& format : nash_swarm::format_table) {
      if (format.family != nash_swarm::WindowFamily::none) continue;  // not rounded to the nearest
      CAPTURE(tiny);
      CAPTURE(format.name);
      const Row weights(130, tiny);
      const Row found = decoded(round(weights, 2, 0, format.id));
      for (const float weight : found) CHECK(std::fabs(weight - tiny) <= tiny);
    }
  }
}

TEST_CASE("nearest: NaN and infinity are named by index") {
  for (const std::size_t threads : {1u, 2u}) {
    nash_swarm::ThreadPool pool(threads);
    Row weights = gaussian(20 * 65, 5);
    weights[12 * 65 + 7] = std::numeric_limits<float>::quiet_NaN();
    CHECK(message_of([&] {
            round(weights, 20, 64, FormatId{2}, pool);
          }).starts_with("w: NaN at [12, 7]"));
    weights[12 * 65 + 7] = -std::numeric_limits<float>::infinity();
    CHECK(message_of([&] {
            round(weights, 20, 64, FormatId{2}, pool);
          }).starts_with("w: infinity at [12, 7]"));
  }
}

TEST_CASE("nearest: odd shapes") {
  for (const support::Shape shape : {support::Shape{1, 1}, {17, 65}, {5, 1}, {1, 200}, {16, 64}}) {
    const Row weights = gaussian(shape.out * shape.in, 6);
    for (const std::size_t rotation : {0u, 64u}) {
      CAPTURE(shape.out);
      CAPTURE(shape.in);
      CAPTURE(rotation);
      const PackedMatrix matrix = round(weights, shape.out, rotation, FormatId{8});
      CHECK(matrix.out_features() == shape.out);
      CHECK(matrix.in_features() == shape.in);
      CHECK(squared_error(weights, decoded(matrix)) < 1e-3 * square(weights));
    }
  }
}

TEST_CASE("nearest: what does not fit is refused") {
  const Row weights = gaussian(17 * 65, 7);
  const auto view = support::rows_of(weights, 65);
  const auto basis = std::make_shared<const InputBasis>("w.input", 65, 64, 1);
  const auto other = std::make_shared<const InputBasis>("w.input", 66, 64, 1);
  const auto call = [&](const std::shared_ptr<const InputBasis>& b, const CellMap& cells) {
    return message_of([&] { nash_swarm::round_to_nearest("w", view, b, cells, serial); });
  };
  CHECK(call(basis, CellMap(2, 2, FormatId{2})).empty());
  for (const std::string& message :
       {call(nullptr, CellMap(2, 2, FormatId{2})), call(other, CellMap(2, 2, FormatId{2})),
        call(basis, CellMap(1, 2, FormatId{2})), call(basis, CellMap(2, 1, FormatId{2}))}) {
    CHECK(message.starts_with("w: basis, cells, feedback or order do not fit"));
  }
}

TEST_CASE("nearest: strided weights give the same bytes") {
  const Row weights = gaussian(17 * 70, 8);
  Row transposed(weights.size());
  for (std::size_t i = 0; i < weights.size(); ++i) transposed[i % 70 * 17 + i / 70] = weights[i];
  const auto basis = std::make_shared<const InputBasis>("w.input", 70, 128, 1);
  const CellMap cells(2, 2, FormatId{3});
  const PackedMatrix a =
      nash_swarm::round_to_nearest("w", support::rows_of(weights, 70), basis, cells, serial);
  const PackedMatrix b = nash_swarm::round_to_nearest(
      "w", support::rows_of(transposed, 17).transposed(), basis, cells, serial);
  CHECK(std::ranges::equal(a.codes(), b.codes()));
  CHECK(std::ranges::equal(a.row_scales(), b.row_scales(), {}, &nash_swarm::BFloat16::bits,
                           &nash_swarm::BFloat16::bits));
}

TEST_CASE("nearest: rows in another order are those of a matrix that has them in it") {
  constexpr std::size_t out = 37;
  const Row weights = gaussian(out * 70, 8);
  const nash_swarm::RowOrder order = support::random_row_order(out, 5);
  REQUIRE_FALSE(order.natural());
  Row moved;
  for (std::size_t position = 0; position < out; ++position) {
    const auto row = weights.begin() + static_cast<std::ptrdiff_t>(order.row_at(position) * 70);
    moved.insert(moved.end(), row, row + 70);
  }
  const auto basis = std::make_shared<const InputBasis>("w.input", 70, 128, 1);
  const CellMap cells(3, 2, FormatId{3});
  const auto rounded = [&](const Row& from, const nash_swarm::RowOrder& by) {
    return nash_swarm::round_matrix("w", support::rows_of(from, 70), basis, cells,
                                    nash_swarm::PanelFeedback(), serial, by);
  };
  const PackedMatrix a = rounded(weights, order);
  const PackedMatrix b = rounded(moved, {});
  CHECK(a.row_order() == order);
  CHECK(a.stored_bytes() == nash_swarm::stored_bytes(out, cells, order));
  CHECK(std::ranges::equal(a.codes(), b.codes()));
  CHECK(std::ranges::equal(a.row_scales(), b.row_scales(), {}, &nash_swarm::BFloat16::bits,
                           &nash_swarm::BFloat16::bits));
  CHECK(message_of([&] {
          rounded(weights, support::random_row_order(38, 5));
        }).starts_with("w: basis, cells, feedback or order do not fit"));
}

TEST_CASE("nearest: the bytes do not depend on the threads") {
  const Row weights = gaussian(100 * 130, 9);
  const PackedMatrix expected = round(weights, 100, 64, FormatId{3});
  for (const std::size_t threads : {1u, 2u, 3u}) {
    nash_swarm::ThreadPool pool(threads);
    const PackedMatrix matrix = round(weights, 100, 64, FormatId{3}, pool);
    CHECK(std::ranges::equal(matrix.codes(), expected.codes()));
    CHECK(std::ranges::equal(matrix.row_scales(), expected.row_scales(), {},
                             &nash_swarm::BFloat16::bits, &nash_swarm::BFloat16::bits));
  }
}

TEST_CASE("row scale: no neighbour of the scale is much better") {
  std::vector<std::uint16_t> codes(256);
  for (const nash_swarm::Format& format : nash_swarm::format_table) {
    if (format.family != nash_swarm::WindowFamily::none) continue;  // not rounded to the nearest
    if (format.block_bytes == 0 || format.bits_per_weight() > 4.0) continue;  // fine ones vary more
    const std::vector<FormatId> formats(4, format.id);
    for (unsigned seed = 10; seed < 20; ++seed) {
      CAPTURE(format.name);
      CAPTURE(seed);
      const Row weights = gaussian(256, seed);
      const auto error_at = [&](double scale) {
        const nash_swarm::detail::RoundingSums sums = nash_swarm::detail::round_row_at(
            static_cast<float>(scale), weights, formats, codes.data());
        return square(weights) + scale * (scale * sums.square - 2.0 * sums.product);
      };
      const auto scale = static_cast<double>(
          nash_swarm::to_float(nash_swarm::round_row(weights, formats, codes.data())));
      CHECK(error_at(0.99 * scale) > 0.97 * error_at(scale));
      CHECK(error_at(1.01 * scale) > 0.97 * error_at(scale));
      CHECK(error_at(0.6 * scale) > 1.05 * error_at(scale));
      CHECK(error_at(1.6 * scale) > 1.05 * error_at(scale));
    }
  }
}
