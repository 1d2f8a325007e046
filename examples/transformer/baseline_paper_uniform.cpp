#include <algorithm>
#include <utility>

#include "transformer/baseline_source.hpp"
#include "transformer/baselines.hpp"
#include "transformer/uniform_quantizer.hpp"

namespace transformer {
namespace {

using nash_swarm::TensorView;

constexpr int largest_uniform_code = 7;

class UniformSource : public DerivedWeightSource {
 public:
  UniformSource(std::shared_ptr<const WeightSource> original, float largest_magnitude)
      : DerivedWeightSource(std::move(original)),
        quantizer_(largest_magnitude, largest_uniform_code) {}

  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    original().read_rows(begin, rows);
    std::transform(rows.data(), rows.data() + rows.size(), rows.data(), quantizer_);
  }

 private:
  MidTreadQuantizer quantizer_;
};

struct Largest {
  float value = 0.0f;
  void operator+=(const Largest& other) { value = std::max(value, other.value); }
};

QuantizedBaseline quantize_uniformly(const std::shared_ptr<const WeightSource>& original,
                                     nash_swarm::ThreadPool& pool) {
  const auto visit = [&](Largest& largest, std::size_t begin, std::size_t end) {
    largest.value = largest_magnitude(*original, begin, read_slice(*original, begin, end).view());
  };
  const auto largest = sum_of_slices<Largest>(*original, pool, visit);
  const std::uint64_t weights = std::uint64_t{original->out_features()} * original->in_features();
  return {std::make_shared<UniformSource>(original, largest.value),
          (weights + 1) / 2 + sizeof(float)};
}

}  // namespace

Baseline paper_uniform() {
  return {"paper_uniform", "paper uniform, 4 bits", {}, quantize_uniformly};
}

}  // namespace transformer
