#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/calibration/importance.hpp>

#include "transformer/baseline_source.hpp"
#include "transformer/baselines.hpp"
#include "transformer/uniform_quantizer.hpp"

namespace transformer {
namespace {

using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

enum class Importance { magnitude, with_neighbours };

constexpr std::size_t classes = 3;
constexpr std::array<std::uint64_t, classes> class_bits{2, 4, 8};
constexpr std::array<std::uint64_t, classes - 1> quantiles_percent{70, 90};

/// A slice of a matrix with the rows that the importance of its own rows depends on.
class ImportanceSlice {
 public:
  /// Rows [begin, end), and one more on either side if neighbours count.
  ImportanceSlice(const WeightSource& source, std::size_t begin, std::size_t end, Importance kind)
      : kind_(kind), importance_(source.in_features()) {
    const bool neighbours = kind == Importance::with_neighbours;
    const std::size_t first = neighbours && begin > 0 ? begin - 1 : begin;
    const std::size_t last = neighbours && end < source.out_features() ? end + 1 : end;
    weights_ = read_slice(source, first, last);
    above_ = begin - first;
    below_ = last - end;
    largest_magnitude(source, first, weights_.view());  // refuses NaN and infinity
  }

  /// Calls `visit(row, weights, importance)` for every row, counted from the slice's first.
  template <class Visit>
  void for_each_row(const Visit& visit) {
    const std::size_t rows = weights_.rows() - above_ - below_;
    for (std::size_t row = 0; row < rows; ++row) {
      compute(row + above_);
      visit(row, row_at(row + above_), std::span<const float>(importance_));
    }
  }

 private:
  std::span<const float> row_at(std::size_t index) const {
    return {weights_.view().data() + index * weights_.columns(), weights_.columns()};
  }

  void compute(std::size_t index) {
    const std::span<const float> row = row_at(index);
    if (kind_ == Importance::with_neighbours) {
      const std::span<const float> none;
      nash_swarm::neighbour_importance(index > 0 ? row_at(index - 1) : none, row,
                                       index + 1 < weights_.rows() ? row_at(index + 1) : none,
                                       importance_);
      return;
    }
    std::transform(row.begin(), row.end(), importance_.begin(),
                   [](float weight) { return std::abs(weight); });
  }

  Importance kind_;
  FloatMatrix weights_;
  std::size_t above_ = 0;
  std::size_t below_ = 0;
  std::vector<float> importance_;
};

/// Calls `visit(weights, importance)` for the rows of slices of the matrix, and adds up.
template <class Sum, class Visit>
Sum sum_of_rows(const WeightSource& source, Importance kind, ThreadPool& pool, const Visit& visit) {
  return sum_of_slices<Sum>(source, pool, [&](Sum& sum, std::size_t begin, std::size_t end) {
    ImportanceSlice(source, begin, end, kind)
        .for_each_row([&](std::size_t, std::span<const float> weights,
                          std::span<const float> importance) { visit(sum, weights, importance); });
  });
}

/// How many numbers have each value of 16 bits.
struct Histogram {
  std::vector<std::uint64_t> counts = std::vector<std::uint64_t>(std::size_t{1} << 16);

  void operator+=(const Histogram& other) {
    std::transform(counts.begin(), counts.end(), other.counts.begin(), counts.begin(),
                   std::plus<>());
  }

  /// The value of the number that comes `rank`-th, from 1, in ascending order; the numbers before
  /// its equals are taken off `rank`.
  std::uint32_t find(std::uint64_t& rank) const {
    std::uint32_t value = 0;
    while (value + 1 < counts.size() && rank > counts[value]) rank -= counts[value++];
    return value;
  }
};

struct HistogramPair {
  std::array<Histogram, classes - 1> histograms;
  void operator+=(const HistogramPair& other) {
    for (std::size_t i = 0; i < histograms.size(); ++i) histograms[i] += other.histograms[i];
  }
};

using Thresholds = std::array<float, classes - 1>;

/// The largest importance of the classes but the last: exact order statistics in two passes. The
/// bits of non-negative floats are in the order of the floats, so the first pass finds the upper
/// half of a threshold's bits and the second the lower.
Thresholds find_thresholds(const WeightSource& source, Importance kind, ThreadPool& pool) {
  const std::uint64_t weights = std::uint64_t{source.out_features()} * source.in_features();
  std::array<std::uint64_t, classes - 1> ranks{};
  std::array<std::uint32_t, classes - 1> uppers{};
  Thresholds thresholds{};

  const auto upper = sum_of_rows<Histogram>(
      source, kind, pool, [](Histogram& sum, auto, std::span<const float> importance) {
        for (const float value : importance)
          ++sum.counts[std::bit_cast<std::uint32_t>(value) >> 16];
      });
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    ranks[i] = (weights * quantiles_percent[i] + 99) / 100;
    uppers[i] = upper.find(ranks[i]);
  }
  const auto lower = sum_of_rows<HistogramPair>(
      source, kind, pool, [&](HistogramPair& sum, auto, std::span<const float> importance) {
        for (const float value : importance) {
          const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
          for (std::size_t i = 0; i < uppers.size(); ++i) {
            if (bits >> 16 == uppers[i]) ++sum.histograms[i].counts[bits & 0xffffu];
          }
        }
      });
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    thresholds[i] = std::bit_cast<float>((uppers[i] << 16) | lower.histograms[i].find(ranks[i]));
  }
  return thresholds;
}

std::size_t class_of(float importance, const Thresholds& thresholds) {
  return static_cast<std::size_t>(importance > thresholds[0]) +
         static_cast<std::size_t>(importance > thresholds[1]);
}

struct ClassStatistics {
  std::array<std::uint64_t, classes> counts{};
  std::array<float, classes> largest{};  // of |w|
  void operator+=(const ClassStatistics& other) {
    for (std::size_t i = 0; i < classes; ++i) {
      counts[i] += other.counts[i];
      largest[i] = std::max(largest[i], other.largest[i]);
    }
  }
};

ClassStatistics find_statistics(const WeightSource& source, Importance kind,
                                const Thresholds& thresholds, ThreadPool& pool) {
  return sum_of_rows<ClassStatistics>(
      source, kind, pool,
      [&](ClassStatistics& sum, std::span<const float> weights, std::span<const float> importance) {
        for (std::size_t k = 0; k < weights.size(); ++k) {
          const std::size_t c = class_of(importance[k], thresholds);
          ++sum.counts[c];
          sum.largest[c] = std::max(sum.largest[c], std::abs(weights[k]));
        }
      });
}

/// Codes, the class of every weight at its entropy, and a float32 scale per class.
std::uint64_t stored_bytes(const std::array<std::uint64_t, classes>& counts) {
  std::uint64_t weights = 0;
  std::uint64_t code_bits = 0;
  double mask_bits = 0.0;
  for (std::size_t c = 0; c < classes; ++c) {
    weights += counts[c];
    code_bits += counts[c] * class_bits[c];
  }
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const auto share = static_cast<double>(count) / static_cast<double>(weights);
    mask_bits -= static_cast<double>(count) * std::log2(share);
  }
  const auto mask_bytes = static_cast<std::uint64_t>(std::ceil(mask_bits / 8.0));
  return (code_bits + 7) / 8 + mask_bytes + classes * sizeof(float);
}

/// The 2-bit levels are ±1/4 and ±3/4 of the class maximum m. Of the readings of "symmetric 2 bits"
/// it is the best for this scheme: the least important weights are spread nearly evenly over
/// [−m, m], where the mean squared errors are 0.021 m² with these levels, 0.037 m² with
/// ±m/3 and ±m or with codes −2 … 1, and 0.083 m² with −m, 0, m.
class ClassSource : public DerivedWeightSource {
 public:
  ClassSource(std::shared_ptr<const WeightSource> original, Importance kind,
              const Thresholds& thresholds, const std::array<float, classes>& largest)
      : DerivedWeightSource(std::move(original)),
        kind_(kind),
        thresholds_(thresholds),
        two_bits_(largest[0]),
        four_bits_(largest[1], 7),
        eight_bits_(largest[2], 127) {}

  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    check_rows(begin, rows);
    const std::size_t step = rows_per_slice(original());
    for (std::size_t first = 0; first < rows.extent(0); first += step) {
      const std::size_t last = std::min(rows.extent(0), first + step);
      decode(begin + first, rows.slice(0, first, last));
    }
  }

 private:
  void decode(std::size_t begin, TensorView<float, 2> rows) const {
    ImportanceSlice slice(original(), begin, begin + rows.extent(0), kind_);
    slice.for_each_row(
        [&](std::size_t row, std::span<const float> weights, std::span<const float> importance) {
          for (std::size_t k = 0; k < weights.size(); ++k) {
            rows(row, k) = decoded(weights[k], class_of(importance[k], thresholds_));
          }
        });
  }

  /// All three are computed, since the class of a weight is hard to predict for a processor.
  float decoded(float weight, std::size_t weight_class) const {
    const std::array<float, classes> values{two_bits_(weight), four_bits_(weight),
                                            eight_bits_(weight)};
    return values[weight_class];
  }

  Importance kind_;
  Thresholds thresholds_;
  MidRiseQuantizer two_bits_;
  MidTreadQuantizer four_bits_;
  MidTreadQuantizer eight_bits_;
};

}  // namespace

Baseline paper_nash(bool data_free_importance) {
  Baseline baseline;
  baseline.method = "paper_nash";
  baseline.label = data_free_importance ? "paper nash, 2/4/8 bits, data-free importance"
                                        : "paper nash, 2/4/8 bits";
  const Importance kind =
      data_free_importance ? Importance::with_neighbours : Importance::magnitude;
  baseline.quantize = [kind](const std::shared_ptr<const WeightSource>& original,
                             ThreadPool& pool) -> QuantizedBaseline {
    const Thresholds thresholds = find_thresholds(*original, kind, pool);
    const ClassStatistics statistics = find_statistics(*original, kind, thresholds, pool);
    return {std::make_shared<ClassSource>(original, kind, thresholds, statistics.largest),
            stored_bytes(statistics.counts)};
  };
  return baseline;
}

}  // namespace transformer
