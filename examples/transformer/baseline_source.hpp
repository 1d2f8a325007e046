#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <string>
#include <utility>

#include "transformer/float_matrix.hpp"
#include "transformer/weight_source.hpp"

namespace transformer {

/// A matrix whose values are computed from those of another one of the same shape and name.
class DerivedWeightSource : public WeightSource {
 public:
  explicit DerivedWeightSource(std::shared_ptr<const WeightSource> original)
      : original_(std::move(original)) {}
  std::size_t out_features() const override { return original_->out_features(); }
  std::size_t in_features() const override { return original_->in_features(); }
  const std::string& name() const override { return original_->name(); }
  void release() const noexcept override { original_->release(); }

 protected:
  const WeightSource& original() const noexcept { return *original_; }

 private:
  std::shared_ptr<const WeightSource> original_;
};

/// Rows of a slice of about 2^18 weights (1 MB), at least 1.
std::size_t rows_per_slice(const WeightSource& source);

/// Rows [begin, end) of a matrix.
FloatMatrix read_slice(const WeightSource& source, std::size_t begin, std::size_t end);

/// Calls `visit(begin, end)` for slices that cover all rows, from the threads of the pool, and
/// releases the matrix afterwards.
void for_each_slice(const WeightSource& source, nash_swarm::ThreadPool& pool,
                    const std::function<void(std::size_t begin, std::size_t end)>& visit);

/// Adds up what `visit(sum, begin, end)` finds in the slices of a matrix. `Sum` starts as Sum() and
/// has a += whose result does not depend on the order.
template <class Sum, class Visit>
Sum sum_of_slices(const WeightSource& source, nash_swarm::ThreadPool& pool, const Visit& visit) {
  Sum total{};
  std::mutex mutex;
  for_each_slice(source, pool, [&](std::size_t begin, std::size_t end) {
    Sum part{};
    visit(part, begin, end);
    const std::lock_guard lock(mutex);
    total += part;
  });
  return total;
}

/// The largest |w| of rows that start at row `begin` of a matrix; 0 if there are none.
/// @throws nash_swarm::Error naming the matrix and the index [out, in] of a NaN or infinity
float largest_magnitude(const WeightSource& source, std::size_t begin,
                        nash_swarm::TensorView<const float, 2> rows);

}  // namespace transformer
