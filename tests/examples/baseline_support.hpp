#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/gaussian.hpp"
#include "transformer/baselines.hpp"

namespace baseline_test {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;
using transformer::Baseline;
using transformer::WeightSource;
using Values = std::vector<float>;
using Source = std::shared_ptr<const WeightSource>;

/// A matrix [out, in] in memory.
class MemorySource : public WeightSource {
 public:
  MemorySource(std::size_t out, std::size_t in, Values values)
      : out_(out), in_(in), values_(std::move(values)) {
    REQUIRE(values_.size() == out * in);
  }
  std::size_t out_features() const override { return out_; }
  std::size_t in_features() const override { return in_; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    check_rows(begin, rows);
    std::copy_n(values_.data() + begin * in_, rows.size(), rows.data());
  }

 private:
  std::string name_ = "h.0.mlp.c_fc";
  std::size_t out_;
  std::size_t in_;
  Values values_;
};

inline Source matrix(std::size_t out, std::size_t in, Values values) {
  return std::make_shared<MemorySource>(out, in, std::move(values));
}

inline Values normal_values(std::size_t count, float mean = 0.0f) {
  Values values = support::gaussian(count, 7);
  for (float& value : values) value += mean;
  return values;
}

inline Values read_all(const WeightSource& source, std::size_t slice = 1000) {
  const std::size_t in = source.in_features();
  Values values(source.out_features() * in);
  for (std::size_t begin = 0; begin < source.out_features(); begin += slice) {
    const std::size_t rows = std::min(slice, source.out_features() - begin);
    source.read_rows(begin, {values.data() + begin * in, {rows, in}});
  }
  return values;
}

inline transformer::QuantizedBaseline quantize(const Baseline& baseline, const Source& source) {
  ThreadPool pool(2);
  return baseline.quantize(source, pool);
}

inline Values decode(const Baseline& baseline, const Source& source) {
  return read_all(*quantize(baseline, source).source);
}

inline std::string message_of(const Baseline& baseline, const Source& source) {
  try {
    quantize(baseline, source);
  } catch (const nash_swarm::Error& error) {
    return error.what();
  }
  return "no error";
}

/// The level next to a weight.
inline double nearest(double weight, const std::vector<double>& levels) {
  return *std::min_element(levels.begin(), levels.end(), [&](double a, double b) {
    return std::abs(a - weight) < std::abs(b - weight);
  });
}

}  // namespace baseline_test
