#include <nash_swarm/format/input_basis.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel/reference_product.hpp"
#include "support/instruction_sets.hpp"
#include "support/lcg.hpp"
#include "support/random_matrix.hpp"

using nash_swarm::InputBasis;

namespace {

std::vector<float> random_row(std::size_t size, std::uint64_t seed) {
  support::Lcg random(seed);
  std::vector<float> row(size);
  for (float& value : row) value = random.real();
  return row;
}

std::vector<float> in_basis(const InputBasis& basis, const std::vector<float>& row) {
  std::vector<float> target(basis.padded_features(), -1.0f);
  to_basis_unscaled(basis, row.data(), 1, target.data());
  for (float& value : target) value *= basis.rotation_scale();
  return target;
}

/// The transform as it is written down, step by step; additions in the same tree.
std::vector<float> plainly_in_basis(const InputBasis& basis, const std::vector<float>& row) {
  std::vector<float> values(basis.padded_features());
  for (std::size_t j = 0; j < row.size(); ++j) {
    const float sign = basis.signs().empty() ? 1.0f : basis.signs()[j];
    values[j] = sign * row[basis.permutation().empty() ? j : basis.permutation()[j]];
  }
  for (std::size_t half = 1; half < basis.rotation_block(); half *= 2) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      if ((i & half) != 0) continue;
      const float a = values[i];
      const float b = values[i + half];
      values[i] = a + b;
      values[i + half] = a - b;
    }
  }
  return values;
}

/// Plain sum of products in double, with the sum of their magnitudes.
struct Dot {
  double value = 0;
  double magnitude = 0;
};
Dot dot(const std::vector<float>& a, const std::vector<float>& b) {
  Dot result;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double term = static_cast<double>(a[i]) * static_cast<double>(b[i]);
    result.value += term;
    result.magnitude += std::fabs(term);
  }
  return result;
}

double norm(const std::vector<float>& row) {
  return std::sqrt(dot(row, row).value);
}

/// Calls check(basis) for every number of channels with every rotation that fits, with and without
/// a permutation.
template <class Check>
void for_each_basis(Check&& check) {
  for (const std::size_t channels : {1u, 63u, 64u, 65u, 200u, 768u, 1600u}) {
    for (const std::size_t rotation : {0u, 64u, 128u, 256u}) {
      const std::size_t padded = (channels + 63) / 64 * 64;
      if (rotation != 0 && padded % rotation != 0) continue;
      for (const bool permuted : {false, true}) {
        CAPTURE(channels);
        CAPTURE(rotation);
        CAPTURE(permuted);
        check(*support::make_basis(channels, rotation, permuted));
      }
    }
  }
}

std::string problem_of(std::size_t channels, std::size_t rotation,
                       std::vector<std::uint32_t> permutation = {}) {
  try {
    const InputBasis basis("h.3.input", channels, rotation, 1, std::move(permutation));
  } catch (const nash_swarm::Error& error) {
    CHECK(error.subject() == "h.3.input");
    return error.problem();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("input_basis: products do not change") {
  for_each_basis([](const InputBasis& basis) {
    const std::vector<float> x = random_row(basis.in_features(), 100);
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      const std::vector<float> w = random_row(basis.in_features(), seed);
      const Dot plain = dot(w, x);
      const Dot rotated = dot(in_basis(basis, w), in_basis(basis, x));
      const double tolerance = 1e-6 * (plain.magnitude + rotated.magnitude);
      CHECK(std::fabs(rotated.value - plain.value) <= tolerance);
    }
  });
}

TEST_CASE("input_basis: the map is permutation, padding, signs and Hadamard matrix") {
  for_each_basis([](const InputBasis& basis) {
    if (basis.in_features() > 200) return;  // the plain map takes the square of the channels
    const std::vector<float> row = random_row(basis.in_features(), 3);
    const std::vector<float> mapped = in_basis(basis, row);
    const reference::Dense map = reference::rotation(basis);
    double worst = 0;
    for (std::size_t j = 0; j < basis.padded_features(); ++j) {
      double expected = 0;
      for (std::size_t i = 0; i < row.size(); ++i) {
        expected += static_cast<double>(row[i]) * map.at(i, j);
      }
      worst = std::max(worst, std::fabs(expected - static_cast<double>(mapped[j])));
    }
    CHECK(worst <= 2e-6 * norm(row));
  });
}

TEST_CASE("input_basis: lengths do not change") {
  for_each_basis([](const InputBasis& basis) {
    const std::vector<float> row = random_row(basis.in_features(), 8);
    CHECK(norm(in_basis(basis, row)) == doctest::Approx(norm(row)).epsilon(1e-6));
  });
}

TEST_CASE("input_basis: from_basis is the inverse") {
  for_each_basis([](const InputBasis& basis) {
    const std::vector<float> row = random_row(basis.in_features(), 21);
    std::vector<float> mapped = in_basis(basis, row);
    std::vector<float> back(basis.in_features(), -1.0f);
    from_basis(basis, mapped.data(), back.data());
    double worst = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      worst =
          std::max(worst, std::fabs(static_cast<double>(back[i]) - static_cast<double>(row[i])));
    }
    CHECK(worst <= 4e-6 * 8.0);  // values are below 8
  });
}

TEST_CASE("input_basis: a strided source is read in place") {
  const InputBasis basis = *support::make_basis(65, 128, true);
  const std::vector<float> wide = random_row(65 * 3, 2);
  std::vector<float> dense(65);
  for (std::size_t i = 0; i < dense.size(); ++i) dense[i] = wide[3 * i];
  std::vector<float> from_wide(128);
  std::vector<float> from_dense(128);
  to_basis_unscaled(basis, wide.data(), 3, from_wide.data());
  to_basis_unscaled(basis, dense.data(), 1, from_dense.data());
  CHECK(from_wide == from_dense);
}

TEST_CASE("input_basis: every instruction set gives the bits of the plain transform") {
  for_each_basis([](const InputBasis& basis) {
    const std::vector<float> row = random_row(basis.in_features(), 4);
    const std::vector<float> expected = plainly_in_basis(basis, row);
    std::vector<float> back_expected;
    for (const nash_swarm::InstructionSet set : support::supported_instruction_sets()) {
      CAPTURE(static_cast<int>(set));
      std::vector<float> mapped(basis.padded_features(), -1.0f);
      to_basis_unscaled(basis, row.data(), 1, mapped.data(), set);
      CHECK(mapped == expected);
      std::vector<float> back(row.size());
      from_basis(basis, mapped.data(), back.data(), set);
      if (back_expected.empty()) back_expected = back;
      CHECK(back == back_expected);
    }
  });
}

TEST_CASE("input_basis: one large channel is spread over its block") {
  const InputBasis basis("basis", 256, 256, 17);
  std::vector<float> row(256, 0.0f);
  row[100] = 16.0f;
  for (const float value : in_basis(basis, row)) CHECK(std::fabs(value) == 1.0f);
}

TEST_CASE("input_basis: signs of a seed never change, or files could not be read") {
  // Top bits of SplitMix64 from seed 1234567: its published first outputs are 6457827717110365317,
  // 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821.
  const float expected[16] = {+1, +1, -1, +1, -1, +1, -1, +1, +1, -1, +1, +1, -1, +1, +1, +1};
  const InputBasis basis("basis", 64, 64, 1234567);
  for (std::size_t i = 0; i < 16; ++i) CHECK(basis.signs()[i] == expected[i]);
}

TEST_CASE("input_basis: signs are even and differ between seeds") {
  const InputBasis first("basis", 4096, 64, 1);
  const InputBasis second("basis", 4096, 64, 2);
  double sum = 0;
  double agreement = 0;
  for (std::size_t i = 0; i < 4096; ++i) {
    sum += static_cast<double>(first.signs()[i]);
    agreement += static_cast<double>(first.signs()[i] * second.signs()[i]);
  }
  CHECK(std::fabs(sum) < 4 * 64);  // four standard deviations
  CHECK(std::fabs(agreement) < 4 * 64);
  CHECK(InputBasis("basis", 64, 0, 1).signs().empty());
}

TEST_CASE("input_basis: parts are kept and counted") {
  const InputBasis plain("a", 200, 0, 5);
  CHECK(plain.padded_features() == 256);
  CHECK(plain.scale_block() == 64);
  CHECK(plain.rotation_scale() == 1.0f);
  CHECK(plain.stored_bytes() == 0);
  const InputBasis rotated("b", 200, 256, 5);
  CHECK(rotated.scale_block() == 256);
  CHECK(rotated.rotation_scale() == 1.0f / 16.0f);
  for (const std::size_t block : {64u, 128u}) {
    const InputBasis narrow("c", 200, block, 5);
    CHECK(narrow.rotation_scale() == 1.0f / std::sqrt(static_cast<float>(block)));
  }
  CHECK(rotated.stored_bytes() == 8);
  CHECK(support::make_basis(200, 0, true)->stored_bytes() == 2 * 200);
  CHECK(support::make_basis(200, 128, true)->stored_bytes() == 8 + 2 * 200);
  CHECK(InputBasis::permutation_entry_bytes(65536) == 2);
  CHECK(InputBasis::permutation_entry_bytes(65537) == 4);
  CHECK(support::make_basis(65600, 0, true)->stored_bytes() == 4 * 65600);
}

TEST_CASE("input_basis: fingerprints tell maps apart, not names") {
  const std::vector<std::uint32_t> order = {1, 0, 2};
  const InputBasis basis("a", 3, 64, 5, order);
  CHECK(InputBasis("b", 3, 64, 5, order).fingerprint() == basis.fingerprint());
  CHECK(InputBasis("a", 4, 64, 5, {1, 0, 2, 3}).fingerprint() != basis.fingerprint());
  CHECK(InputBasis("a", 3, 0, 5, order).fingerprint() != basis.fingerprint());
  CHECK(InputBasis("a", 3, 64, 6, order).fingerprint() != basis.fingerprint());
  CHECK(InputBasis("a", 3, 64, 5, {1, 2, 0}).fingerprint() != basis.fingerprint());
  CHECK(InputBasis("a", 3, 64, 5).fingerprint() != basis.fingerprint());
  CHECK(InputBasis("a", 3, 0, 5).fingerprint() == InputBasis("a", 3, 0, 6).fingerprint());
}

TEST_CASE("input_basis: the widest rotation divides the padded channels") {
  CHECK(InputBasis::widest_rotation(1) == 64);
  CHECK(InputBasis::widest_rotation(65) == 128);
  CHECK(InputBasis::widest_rotation(129) == 64);
  CHECK(InputBasis::widest_rotation(200) == 256);
  CHECK(InputBasis::widest_rotation(768) == 256);
  CHECK(InputBasis::widest_rotation(1600) == 64);
}

TEST_CASE("input_basis: parts that do not fit are refused") {
  CHECK(problem_of(0, 0) == "a basis of 0 channels");
  CHECK(problem_of(std::size_t{1} << 32, 0) == "more than 2^32 − 1 input channels");
  CHECK(problem_of(~std::size_t{0}, 0) == "more than 2^32 − 1 input channels");
  CHECK(problem_of(64, 32) == "rotation block 32 for 64 channels");
  CHECK(problem_of(1024, 512) == "rotation block 512 for 1024 channels");
  CHECK(problem_of(64, 128) == "rotation block 128 for 64 channels");
  CHECK(problem_of(129, 128) == "rotation block 128 for 192 channels");
  CHECK(problem_of(4, 0, {0, 1, 2}) == "permutation of 3 entries for 4 channels");
  CHECK(problem_of(4, 64, {0, 1, 2, 3, 4}) == "permutation of 5 entries for 4 channels");
  CHECK(problem_of(4, 0, {0, 1, 2, 4}) == "permutation entry 3 is 4, out of range or used twice");
  CHECK(problem_of(4, 0, {0, 2, 2, 3}) == "permutation entry 2 is 2, out of range or used twice");
  CHECK(problem_of(4, 64, {3, 2, 1, 0}) == "accepted");
}
