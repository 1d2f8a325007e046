#include "quantization/gguf_plan.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/error.hpp>

#include "gguf/tensor_names.hpp"
#include "gguf/type_losses.hpp"
#include "transformer/family.hpp"

namespace quantization {
namespace {

std::string name_in_gguf(const transformer::Config& config, const std::string& matrix) {
  const transformer::Family& family = *config.family;
  const auto name = gguf::gguf_name(family.model_type, matrix);
  if (name) return *name;
  throw nash_swarm::Error(
      matrix,
      "has no name in llama.cpp, which lacks the family \"" + std::string(family.model_type) + "\"",
      "plan for GPT-2 or LLaMA");
}

}  // namespace

gguf::TypePlan gguf_plan(const transformer::Checkpoint& checkpoint,
                         const transformer::Quantizer& quantizer, double bits,
                         nash_swarm::ThreadPool& pool) {
  std::vector<gguf::TensorTypes> tensors;
  for (const nash_swarm::MatrixPlan& plan : quantizer.matrices()) {
    const std::shared_ptr<const transformer::WeightSource>& source = checkpoint.matrix(plan.name);
    const auto moments = quantizer.moments(plan.name);
    const nash_swarm::MatrixCalibration calibration = moments->calibration();
    gguf::Matrix matrix;
    matrix.name = name_in_gguf(checkpoint.config(), plan.name);
    matrix.out_features = plan.out_features;
    matrix.in_features = plan.in_features;
    matrix.read = [&source, in = plan.in_features](std::size_t first, std::span<float> rows) {
      source->read_rows(first, {rows.data(), {rows.size() / in, in}});
    };
    matrix.calibration = &calibration;
    tensors.push_back({matrix.name, gguf::type_losses(matrix, pool)});
  }
  const auto budget =
      static_cast<std::uint64_t>(bits * static_cast<double>(quantizer.weights()) / 8.0);
  return gguf::plan_types(tensors, budget, pool);
}

}  // namespace quantization
