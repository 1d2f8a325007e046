#include "model_matrices.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include <nash_swarm/core/error.hpp>
#include <nash_swarm/io/printable_name.hpp>

#include "tensor_names.hpp"

namespace gguf {
namespace {

using nash_swarm::Error;
using nash_swarm::GgufFile;
using nash_swarm::StoredTensor;

void check_whole(const GgufFile& model) {
  const auto found = model.metadata().find("split.count");
  if (found == model.metadata().end()) return;
  const auto* const parts = std::get_if<std::uint64_t>(&found->second);
  if (parts == nullptr || *parts < 2) return;
  throw Error(model.path().string(), "holds one part of a model in " + std::to_string(*parts),
              "merge them with llama-gguf-split --merge");
}

std::vector<float> all_floats(const StoredTensor& tensor) {
  std::vector<float> values(tensor.bytes.size() / size_of(tensor.type));
  nash_swarm::read_floats(tensor, 0, values);
  return values;
}

}  // namespace

std::vector<Matrix> quantizable_matrices(const GgufFile& model) {
  check_whole(model);
  std::vector<Matrix> matrices;
  for (const StoredTensor& tensor : model.tensors()) {
    if (!is_quantizable(tensor.name, tensor.shape.size())) continue;
    nash_swarm::read_floats(tensor, 0, {});  // refuses what is quantized
    Matrix matrix;
    matrix.name = tensor.name;
    matrix.in_features = tensor.shape.back();
    matrix.out_features = 1;
    for (std::size_t i = 0; i + 1 < tensor.shape.size(); ++i) {
      matrix.out_features *= tensor.shape[i];
    }
    matrix.read = [&tensor](std::size_t first, std::span<float> rows) {
      nash_swarm::read_floats(tensor, first * tensor.shape.back(), rows);
    };
    matrices.push_back(std::move(matrix));
  }
  return matrices;
}

std::vector<float> mean_squares(const GgufFile& imatrix, const std::string& tensor) {
  const StoredTensor* const sums = imatrix.find(tensor + ".in_sum2");
  if (sums == nullptr) return {};
  const StoredTensor& counts = imatrix.at(tensor + ".counts");
  const auto fail = [&](const std::string& problem) {
    throw Error(imatrix.path().string(),
                "tensor " + nash_swarm::printable(sums->name) + ": " + problem,
                "make the imatrix again");
  };
  if (sums->shape.empty()) fail("no channels");
  const std::vector<float> squares = all_floats(*sums);
  double tokens = 0.0;
  for (const float count : all_floats(counts)) tokens += static_cast<double>(count);
  if (!(tokens > 0.0)) fail("seen by no token");
  std::vector<float> means(sums->shape.back());
  for (std::size_t i = 0; i < squares.size(); ++i) {
    if (!std::isfinite(squares[i]) || squares[i] < 0.0f) fail("a sum of squares is none");
    means[i % means.size()] += static_cast<float>(static_cast<double>(squares[i]) / tokens);
  }
  return means;
}

}  // namespace gguf
