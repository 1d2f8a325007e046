#include "transformer/baseline_source.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <nash_swarm/core/error.hpp>

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::TensorView;

/// `rows` holds a NaN or infinity and starts at row `begin`.
[[noreturn]] void refuse(const WeightSource& source, std::size_t begin,
                         TensorView<const float, 2> rows) {
  const float* const first = rows.data();
  const float* const found = std::find_if_not(first, first + rows.size(),
                                              [](float value) { return std::isfinite(value); });
  const auto index = static_cast<std::size_t>(found - first);
  throw Error(source.name(),
              std::string(std::isnan(*found) ? "NaN" : "infinity") + " at [" +
                  std::to_string(begin + index / rows.extent(1)) + ", " +
                  std::to_string(index % rows.extent(1)) + "]",
              "export the checkpoint again");
}

}  // namespace

std::size_t rows_per_slice(const WeightSource& source) {
  constexpr std::size_t weights = std::size_t{1} << 18;
  return std::max<std::size_t>(1, weights / std::max<std::size_t>(1, source.in_features()));
}

FloatMatrix read_slice(const WeightSource& source, std::size_t begin, std::size_t end) {
  FloatMatrix rows(end - begin, source.in_features());
  source.read_rows(begin, rows.view());
  return rows;
}

void for_each_slice(const WeightSource& source, nash_swarm::ThreadPool& pool,
                    const std::function<void(std::size_t begin, std::size_t end)>& visit) {
  const std::size_t out = source.out_features();
  const std::size_t step = rows_per_slice(source);
  pool.run((out + step - 1) / step,
           [&](std::size_t slice) { visit(slice * step, std::min(out, (slice + 1) * step)); });
  source.release();
}

float largest_magnitude(const WeightSource& source, std::size_t begin,
                        TensorView<const float, 2> rows) {
  // The bits of non-negative floats are in the order of the floats, infinity and NaN at the top.
  std::uint32_t largest = 0;
  const float* const weights = rows.data();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(weights[i]) & 0x7fffffffu);
  }
  if (largest >= 0x7f800000u) refuse(source, begin, rows);
  return std::bit_cast<float>(largest);
}

}  // namespace transformer
