#include <algorithm>
#include <cmath>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/half.hpp>
#include <span>
#include <utility>

#include "transformer/baseline_source.hpp"
#include "transformer/baselines.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::Half;
using nash_swarm::TensorView;
using nash_swarm::to_float;
using nash_swarm::to_half;

/// The largest half that is at most `value`; −infinity if there is none.
float half_at_most(float value) {
  Half half = to_half(value);
  if (to_float(half) > value) {
    const bool negative = (half.bits & 0x8000u) != 0;
    const bool zero = (half.bits & 0x7fffu) == 0;
    half.bits = static_cast<std::uint16_t>(zero ? 0x8001 : half.bits + (negative ? 1 : -1));
  }
  return to_float(half);
}

/// The smallest half that is at least `value` ≥ 0; infinity if there is none.
float half_at_least(double value) {
  Half half = to_half(static_cast<float>(value));
  if (to_float(half) < value) ++half.bits;
  return to_float(half);
}

/// What is stored beside the codes of a group.
struct Group {
  float minimum;
  float scale;
};

/// The finest levels that reach from the smallest to the largest weight.
Group fit_group(std::span<const float> weights, int largest_code) {
  float smallest = weights.front();
  float largest = weights.front();
  for (const float weight : weights) {
    smallest = std::min(smallest, weight);
    largest = std::max(largest, weight);
  }
  const float minimum = half_at_most(smallest);
  const double range = static_cast<double>(largest) - static_cast<double>(minimum);
  return {minimum, half_at_least(range / largest_code)};
}

void round_group(std::span<float> weights, const Group& group, int largest_code) {
  if (group.scale == 0.0f) {  // all weights equal the minimum
    std::fill(weights.begin(), weights.end(), group.minimum);
    return;
  }
  const auto last = static_cast<float>(largest_code);
  for (float& weight : weights) {
    const float position = std::min((weight - group.minimum) / group.scale, last);
    const auto code = static_cast<float>(static_cast<int>(position + 0.5f));
    weight = group.minimum + group.scale * code;  // the product is exact: 11 bits times 8
  }
}

class RoundedSource : public DerivedWeightSource {
 public:
  RoundedSource(std::shared_ptr<const WeightSource> original, unsigned bits, std::size_t group)
      : DerivedWeightSource(std::move(original)), largest_code_((1 << bits) - 1), group_(group) {}

  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    original().read_rows(begin, rows);
    for (std::size_t row = 0; row < rows.extent(0); ++row) {
      const std::span<float> weights(rows.data() + row * in_features(), in_features());
      for (std::size_t first = 0; first < weights.size(); first += group_) {
        round(weights.subspan(first, std::min(group_, weights.size() - first)), begin + row, first);
      }
    }
  }

 private:
  void round(std::span<float> weights, std::size_t row, std::size_t first) const {
    const Group group = fit_group(weights, largest_code_);
    if (!std::isfinite(group.minimum) || !std::isfinite(group.scale)) {
      throw Error(name(),
                  "the group from [" + std::to_string(row) + ", " + std::to_string(first) +
                      "] has weights beyond what a minimum and a scale of 16 bits can hold",
                  "keep this matrix in float or scale it down");
    }
    round_group(weights, group, largest_code_);
  }

  int largest_code_;
  std::size_t group_;
};

/// Every group starts at a byte.
std::uint64_t row_bytes(std::size_t in, unsigned bits, std::size_t group) {
  constexpr std::uint64_t minimum_and_scale = 4;
  const auto group_bytes = [bits](std::size_t weights) {
    return (std::uint64_t{weights} * bits + 7) / 8 + minimum_and_scale;
  };
  const std::size_t rest = in % group;
  return in / group * group_bytes(group) + (rest > 0 ? group_bytes(rest) : 0);
}

}  // namespace

Baseline rtn(unsigned bits, std::size_t group) {
  if (bits < 1 || bits > 8) {
    throw Error("rtn", std::to_string(bits) + " bits are not 1 to 8");
  }
  if (group == 0) throw Error("rtn", "groups of 0 weights", "give the group at least 1");
  Baseline baseline;
  baseline.method = "rtn";
  baseline.label = "rtn " + std::to_string(bits) + " bits, groups of " + std::to_string(group);
  baseline.group = group;
  baseline.quantize = [bits, group](const std::shared_ptr<const WeightSource>& original,
                                    nash_swarm::ThreadPool& pool) -> QuantizedBaseline {
    auto source = std::make_shared<RoundedSource>(original, bits, group);
    // Rounded once here for the sake of its errors: they come before any evaluation.
    for_each_slice(*original, pool, [&](std::size_t begin, std::size_t end) {
      largest_magnitude(*original, begin, read_slice(*original, begin, end).view());
      read_slice(*source, begin, end);
    });
    return {source, original->out_features() * row_bytes(original->in_features(), bits, group)};
  };
  return baseline;
}

}  // namespace transformer
