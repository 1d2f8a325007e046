#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

#include "transformer/backward.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/decoded_matrix.hpp"
#include "transformer/model.hpp"

namespace transformer {

/// A vector of a quantized model that stays float, in the model that uses it.
struct TunableVector {
  std::span<float> values;      ///< for row scales: factors on those of the packed matrix
  std::vector<float> gradient;  ///< as long as `values`
  /// What is read back of a value once it is stored.
  std::function<float(std::size_t index, float value)> stored;
};

/// A quantized model in float32 whose row scales, biases and norms can be changed. Holds the
/// float32 bytes of all packed matrices.
class TunableModel {
 public:
  TunableModel(const Checkpoint& checkpoint, std::span<const nash_swarm::PackedMatrix> matrices,
               nash_swarm::ThreadPool& pool);
  TunableModel(const TunableModel&) = delete;
  TunableModel& operator=(const TunableModel&) = delete;

  const Model& model() const noexcept { return model_; }

  /// By name: "h.0.attn.c_attn.row_scales" for each packed matrix, "h.0.attn.c_attn.bias",
  /// "h.0.ln_1.weight" and so on.
  std::map<std::string, TunableVector>& vectors() noexcept { return vectors_; }

  /// Writes the gradients of a loss summed over tokens into the vectors.
  /// @param sequences of equal length, one after the other in `tokens`
  void compute_gradients(std::span<const std::int32_t> tokens, std::size_t sequences,
                         const LogitGradient& logit_gradient, nash_swarm::ThreadPool& pool);

 private:
  /// A packed matrix in float32, and the factors on its rows.
  struct Matrix {
    std::shared_ptr<const DecodedMatrix> decoded;
    std::vector<float> factors;  // [out]
  };

  void add(const std::string& name, std::span<float> values,
           std::function<float(std::size_t, float)> stored);
  void add_output_gradients(const std::string& matrix, nash_swarm::TensorView<const float, 2> y,
                            nash_swarm::TensorView<const float, 2> dy,
                            nash_swarm::ThreadPool& pool);
  void add_vocabulary_gradients(const std::string& matrix,
                                nash_swarm::TensorView<const float, 2> gradient,
                                nash_swarm::ThreadPool& pool);

  std::map<std::string, Matrix> matrices_;  // the packed ones; the model reads their factors
  Model model_;
  std::map<std::string, TunableVector> vectors_;
};

}  // namespace transformer
