#include "transformer/packed.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include <nash_swarm/matmul.hpp>

#include "transformer/weight_source.hpp"

namespace transformer {
namespace {

using nash_swarm::Error;
using nash_swarm::PackedMatrix;
using nash_swarm::PackedModelFile;
using nash_swarm::TensorView;
using nash_swarm::ThreadPool;

void multiply(const PackedMatrix& matrix, const SharedInput& x, TensorView<float, 2> y,
              ProductInputs inputs, ThreadPool& pool) {
  if (inputs == ProductInputs::exact) return nash_swarm::matmul_exact(matrix, x.values(), y, pool);
  const auto bits = inputs == ProductInputs::sixteen_bits ? nash_swarm::ActivationBits::sixteen
                                                          : nash_swarm::ActivationBits::eight;
  nash_swarm::matmul(matrix, x.rounded(matrix.basis(), bits, pool), y, pool);
}

class PackedLinear : public Linear {
 public:
  explicit PackedLinear(PackedMatrix matrix, ProductInputs inputs = ProductInputs::eight_bits)
      : matrix_(std::move(matrix)), inputs_(inputs) {}
  std::size_t out_features() const override { return matrix_.out_features(); }
  std::size_t in_features() const override { return matrix_.in_features(); }
  using Linear::apply;
  void apply(const SharedInput& x, TensorView<float, 2> y, ThreadPool& pool) const override {
    multiply(matrix_, x, y, inputs_, pool);
  }

 private:
  PackedMatrix matrix_;
  ProductInputs inputs_;
};

class PackedEmbedding : public TokenEmbedding {
 public:
  explicit PackedEmbedding(PackedMatrix matrix, ProductInputs inputs = ProductInputs::eight_bits)
      : matrix_(std::move(matrix)), inputs_(inputs) {}
  std::size_t vocabulary_size() const override { return matrix_.out_features(); }
  std::size_t width() const override { return matrix_.in_features(); }
  void lookup(std::span<const std::int32_t> tokens, TensorView<float, 2> rows) const override {
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      nash_swarm::decode_row(matrix_, static_cast<std::size_t>(tokens[t]), rows[t]);
    }
  }
  void logits(TensorView<const float, 2> hidden, TensorView<float, 2> logits,
              ThreadPool& pool) const override {
    multiply(matrix_, SharedInput(hidden), logits, inputs_, pool);
  }

 private:
  PackedMatrix matrix_;
  ProductInputs inputs_;
};

/// A matrix that the quantization left out, stored [out, in].
std::shared_ptr<const WeightSource> float_matrix(const std::shared_ptr<const PackedModelFile>& file,
                                                 const std::string& name) {
  return std::make_shared<TensorWeightSource>(
      name, std::shared_ptr<const nash_swarm::SafetensorsFile>(file, &file->file()),
      file->file().at(name + ".weight"), false);
}

}  // namespace

Config packed_config(const PackedModelFile& file) {
  return parse_config(file.document("config.json"), file.file().path().string() + ", config.json");
}

Model make_packed_model(std::shared_ptr<const PackedModelFile> file, bool resident,
                        ProductInputs inputs) {
  PartSource source;
  source.floats = [file](const std::string& name) {
    const nash_swarm::StoredTensor& tensor = file->file().at(name);
    nash_swarm::AlignedBuffer<float> floats(tensor.bytes.size() / nash_swarm::size_of(tensor.type));
    nash_swarm::read_floats(tensor, 0, {floats.data(), floats.size()});
    return floats;
  };
  source.linear = [file, resident, inputs](const std::string& name) -> std::unique_ptr<Linear> {
    if (const PackedMatrix* matrix = file->find_matrix(name)) {
      return std::make_unique<PackedLinear>(*matrix, inputs);
    }
    return std::make_unique<FloatLinear>(float_matrix(file, name), resident);
  };
  source.embedding = [file, resident,
                      inputs](const std::string& name) -> std::unique_ptr<TokenEmbedding> {
    if (const PackedMatrix* matrix = file->find_matrix(name)) {
      return std::make_unique<PackedEmbedding>(*matrix, inputs);
    }
    return std::make_unique<FloatEmbedding>(float_matrix(file, name), resident);
  };
  const Config config = packed_config(*file);
  try {
    return assemble_model(config, source);
  } catch (const Error& error) {
    const std::string path = file->file().path().string();
    if (error.subject() == path) throw;
    throw Error(path, error.subject() + ": " + error.problem(),
                "quantize the model again, and leave its config.json as it is");
  }
}

Model make_packed_model(const Checkpoint& checkpoint, std::span<const PackedMatrix> matrices) {
  const auto find = [matrices](const std::string& name) {
    return std::find_if(matrices.begin(), matrices.end(),
                        [&](const PackedMatrix& matrix) { return matrix.name() == name; });
  };
  PartSource source;
  source.floats = [&](const std::string& name) { return checkpoint.floats(name); };
  source.linear = [&](const std::string& name) -> std::unique_ptr<Linear> {
    const auto packed = find(name);
    if (packed != matrices.end()) return std::make_unique<PackedLinear>(*packed);
    return std::make_unique<FloatLinear>(checkpoint.matrix(name), false);
  };
  source.embedding = [&](const std::string& name) -> std::unique_ptr<TokenEmbedding> {
    const auto packed = find(name);
    if (packed != matrices.end()) return std::make_unique<PackedEmbedding>(*packed);
    return std::make_unique<FloatEmbedding>(checkpoint.matrix(name), false);
  };
  return assemble_model(checkpoint.config(), source);
}

}  // namespace transformer
