#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#if defined(CONSUMER_SINGLE_HEADER)
#include <nash_swarm.hpp>
#else
#include <nash_swarm/matmul.hpp>
#endif

/// A small matrix of 4 bits, and one product by it.
struct Product {
  static constexpr std::size_t in = 128;
  static constexpr std::size_t out = 37;

  /// The parts as a host reads them from a file of its own.
  static nash_swarm::PackedMatrix::Parts parts() {
    struct Memory {
      std::vector<std::byte> codes;
      std::vector<nash_swarm::BFloat16> scales;
      std::vector<std::uint8_t> runs;
    };
    const auto basis = std::make_shared<const nash_swarm::InputBasis>("basis", in, 64, 5);
    const nash_swarm::FormatId format =
        nash_swarm::format_table[nash_swarm::format_index("b4_l4")].id;
    const nash_swarm::CellMap cells(nash_swarm::panel_count(out), in / 64, format);
    const auto memory = std::make_shared<Memory>();
    for (std::size_t i = 0; i < nash_swarm::code_bytes(cells); ++i) {
      memory->codes.push_back(static_cast<std::byte>(i * 37 % 251));
    }
    memory->scales.assign(out, nash_swarm::to_bfloat16(0.5F));
    memory->runs = nash_swarm::encode_runs(cells);
    nash_swarm::PackedMatrix::Parts parts;
    parts.name = "matrix";
    parts.out_features = out;
    parts.basis = basis;
    parts.codes = memory->codes;
    parts.row_scales = memory->scales;
    parts.run_table = memory->runs;
    parts.storage = memory;
    return parts;
  }

  /// y [1, out]
  static std::vector<float> output(const nash_swarm::PackedMatrix& matrix) {
    const std::vector<float> x = input();
    std::vector<float> y(out);
    nash_swarm::ThreadPool executor(2);
    nash_swarm::matmul(matrix, {x.data(), {std::size_t{1}, in}}, {y.data(), {std::size_t{1}, out}},
                       executor);
    return y;
  }

  /// x [1, in]
  static std::vector<float> input() {
    std::vector<float> x(in);
    for (std::size_t k = 0; k < in; ++k) x[k] = static_cast<float>(k * k % 31) - 15.0F;
    return x;
  }

  /// True if the outputs [1, out] are those of the decoded rows, but for the rounding of the input.
  static bool is_right(const nash_swarm::PackedMatrix& matrix, const std::vector<float>& y) {
    const std::vector<float> x = input();
    std::vector<float> row(in);
    double error = 0;
    double size = 0;
    for (std::size_t r = 0; r < out; ++r) {
      nash_swarm::decode_row(matrix, r, {row.data(), {in}});
      double sum = 0;
      for (std::size_t k = 0; k < in; ++k) sum += double{row[k]} * double{x[k]};
      error += std::pow(sum - double{y[r]}, 2);
      size += sum * sum;
    }
    return size > 0 && error < 1e-4 * size;
  }
};
