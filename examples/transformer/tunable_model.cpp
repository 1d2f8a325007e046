#include "transformer/tunable_model.hpp"

#include <algorithm>
#include <utility>

#include <nash_swarm/core/half.hpp>

#include "transformer/eigen_view.hpp"
#include "transformer/row_tasks.hpp"

namespace transformer {
namespace {

using nash_swarm::DataType;
using nash_swarm::PackedMatrix;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

/// A matrix with a factor on every row.
class ScaledMatrix : public DerivedWeightSource {
 public:
  /// @param factors [out], outlives the matrix
  ScaledMatrix(std::shared_ptr<const WeightSource> original, const std::vector<float>& factors)
      : DerivedWeightSource(std::move(original)), factors_(factors) {}

  void read_rows(std::size_t begin, TensorView<float, 2> rows) const override {
    original().read_rows(begin, rows);
    for (std::size_t row = 0; row < rows.extent(0); ++row) {
      eigen_row(row_of(rows, row)) *= factors_[begin + row];
    }
  }

 private:
  const std::vector<float>& factors_;
};

float rounded(DataType type, float value) {
  switch (type) {
    case DataType::F16:
      return nash_swarm::to_float(nash_swarm::to_half(value));
    case DataType::BF16:
      return nash_swarm::to_float(nash_swarm::to_bfloat16(value));
    default:
      return value;
  }
}

}  // namespace

TunableModel::TunableModel(const Checkpoint& checkpoint, std::span<const PackedMatrix> matrices,
                           ThreadPool& pool) {
  for (const PackedMatrix& packed : matrices) {
    matrices_.emplace(packed.name(), Matrix{std::make_shared<const DecodedMatrix>(
                                                checkpoint.matrix(packed.name()), packed, pool),
                                            std::vector<float>(packed.out_features(), 1.0f)});
  }
  model_ = make_float_model(checkpoint, false,
                            [this](const std::shared_ptr<const WeightSource>& original)
                                -> std::shared_ptr<const WeightSource> {
                              const auto found = matrices_.find(original->name());
                              if (found == matrices_.end()) return original;
                              return std::make_shared<ScaledMatrix>(found->second.decoded,
                                                                    found->second.factors);
                            });
  for (const PackedMatrix& packed : matrices) {
    add(packed.name() + ".row_scales", matrices_.at(packed.name()).factors,
        [scales = packed.row_scales(), order = packed.row_order()](std::size_t row, float factor) {
          const float scale = nash_swarm::to_float(scales[order.position_of(row)]);
          if (scale == 0.0f) return 1.0f;
          return nash_swarm::to_float(nash_swarm::to_bfloat16(scale * factor)) / scale;
        });
  }
  for_each_vector(model_, [&](const std::string& name, std::span<float> values) {
    add(name, values, [type = checkpoint.data_type(name)](std::size_t, float value) {
      return rounded(type, value);
    });
  });
}

void TunableModel::add(const std::string& name, std::span<float> values,
                       std::function<float(std::size_t, float)> stored) {
  vectors_.emplace(name,
                   TunableVector{values, std::vector<float>(values.size()), std::move(stored)});
}

void TunableModel::compute_gradients(std::span<const std::int32_t> tokens, std::size_t sequences,
                                     const LogitGradient& logit_gradient, ThreadPool& pool) {
  GradientObserver observer;
  observer.output = [&](const std::string& name, TensorView<const float, 2> y,
                        TensorView<const float, 2> dy) { add_output_gradients(name, y, dy, pool); };
  observer.norm = [this](const std::string& name, std::span<const float> dweight,
                         std::span<const float> dbias) {
    std::copy(dweight.begin(), dweight.end(), vectors_.at(name + ".weight").gradient.begin());
    if (dbias.empty()) return;
    std::copy(dbias.begin(), dbias.end(), vectors_.at(name + ".bias").gradient.begin());
  };
  observer.vocabulary_matrix = [&](const std::string& name, TensorView<const float, 2>,
                                   TensorView<const float, 2> gradient) {
    add_vocabulary_gradients(name, gradient, pool);
  };
  run_backward(model_, tokens, logit_gradient, pool, observer, sequences);
}

/// The output of row r without its bias is proportional to the factor of the row.
void TunableModel::add_output_gradients(const std::string& matrix, TensorView<const float, 2> y,
                                        TensorView<const float, 2> dy, ThreadPool& pool) {
  const auto bias = vectors_.find(matrix + ".bias");
  const auto scales = vectors_.find(matrix + ".row_scales");
  constexpr std::size_t band = 64;
  pool.run((dy.extent(1) + band - 1) / band, [&](std::size_t task) {
    const std::size_t begin = task * band;
    const std::size_t width = std::min(band, dy.extent(1) - begin);
    const auto gradient_of = [&](std::size_t t) {
      return eigen_row(row_of(dy, t).subspan(begin, width));
    };
    Eigen::ArrayXf bias_values = Eigen::ArrayXf::Zero(eigen_index(width));
    if (bias != vectors_.end()) {
      bias_values = eigen_row(std::span<const float>(bias->second.values).subspan(begin, width));
      RowMap dbias = eigen_row(std::span(bias->second.gradient).subspan(begin, width));
      dbias.setZero();
      for (std::size_t t = 0; t < dy.extent(0); ++t) dbias += gradient_of(t);
    }
    if (scales == vectors_.end()) return;
    RowMap dfactor = eigen_row(std::span(scales->second.gradient).subspan(begin, width));
    dfactor.setZero();
    for (std::size_t t = 0; t < dy.extent(0); ++t) {
      dfactor += gradient_of(t) * (eigen_row(row_of(y, t).subspan(begin, width)) - bias_values);
    }
    dfactor /= eigen_row(std::span<const float>(scales->second.values).subspan(begin, width));
  });
}

void TunableModel::add_vocabulary_gradients(const std::string& matrix,
                                            TensorView<const float, 2> gradient, ThreadPool& pool) {
  const auto found = matrices_.find(matrix);
  if (found == matrices_.end()) return;
  std::vector<float>& dfactor = vectors_.at(matrix + ".row_scales").gradient;
  const TensorView<const float, 2> values = found->second.decoded->values();
  for_each_row(dfactor.size(), pool, [&](std::size_t row) {
    dfactor[row] = (eigen_row(row_of(gradient, row)) * eigen_row(row_of(values, row))).sum();
  });
}

}  // namespace transformer
