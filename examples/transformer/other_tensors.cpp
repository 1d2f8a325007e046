#include "transformer/other_tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include <nash_swarm/core/half.hpp>

#include "transformer/float_matrix.hpp"

namespace transformer {
namespace {

using nash_swarm::DataType;
using nash_swarm::Error;
using nash_swarm::OtherTensor;

OtherTensor document(const std::string& name, const std::string& text) {
  return {{name, DataType::U8, {text.size()}},
          [&text](const OtherTensor::Sink& sink) { sink(std::as_bytes(std::span(text))); }};
}

/// Floats in a 16-bit or 32-bit type.
std::vector<std::byte> encode_floats(const std::string& name, DataType type,
                                     std::span<const float> floats) {
  std::vector<std::byte> bytes(floats.size() * nash_swarm::size_of(type));
  for (std::size_t i = 0; i < floats.size(); ++i) {
    if (type == DataType::F32) {
      std::memcpy(bytes.data() + 4 * i, &floats[i], 4);
      continue;
    }
    const std::uint16_t bits = type == DataType::F16 ? nash_swarm::to_half(floats[i]).bits
                                                     : nash_swarm::to_bfloat16(floats[i]).bits;
    if (type == DataType::F16 && (bits & 0x7c00u) == 0x7c00u) {
      throw Error(name, "element " + std::to_string(i) + " is beyond the range of F16",
                  "store the checkpoint in BF16");
    }
    std::memcpy(bytes.data() + 2 * i, &bits, 2);
  }
  return bytes;
}

/// Matrices take two bytes per weight; vectors keep their type.
DataType type_to_store(DataType type, std::size_t rank) {
  return rank >= 2 && type == DataType::F32 ? DataType::F16 : type;
}

OtherTensor small_tensor(const Checkpoint& checkpoint, const TensorShape& tensor) {
  const DataType type = type_to_store(checkpoint.data_type(tensor.name), tensor.shape.size());
  return {{tensor.name, type, tensor.shape},
          [&checkpoint, name = tensor.name, type](const OtherTensor::Sink& sink) {
            const nash_swarm::AlignedBuffer<float> floats = checkpoint.floats(name);
            sink(encode_floats(name, type, {floats.data(), floats.size()}));
          }};
}

OtherTensor unquantized_matrix(const Checkpoint& checkpoint,
                               const std::shared_ptr<const WeightSource>& source) {
  const std::string name = source->name() + ".weight";
  const DataType type = type_to_store(checkpoint.data_type(name), 2);
  return {{name, type, {source->out_features(), source->in_features()}},
          [source, name, type](const OtherTensor::Sink& sink) {
            constexpr std::size_t rows_at_once = 256;
            for (std::size_t begin = 0; begin < source->out_features(); begin += rows_at_once) {
              FloatMatrix rows(std::min(rows_at_once, source->out_features() - begin),
                               source->in_features());
              source->read_rows(begin, rows.view());
              sink(encode_floats(name, type, {rows.view().data(), rows.view().size()}));
            }
            source->release();
          }};
}

}  // namespace

std::vector<OtherTensor> other_tensors(const Checkpoint& checkpoint, Scope scope) {
  std::vector<OtherTensor> others;
  for (std::size_t m = 0; m < checkpoint.shapes().size(); ++m) {
    if (in_scope(scope, checkpoint.shapes()[m].role)) continue;
    others.push_back(unquantized_matrix(checkpoint, checkpoint.matrices()[m]));
  }
  for (const TensorShape& tensor : other_tensor_shapes(checkpoint.config())) {
    others.push_back(small_tensor(checkpoint, tensor));
  }
  others.push_back(document("config.json", checkpoint.config_text()));
  for (const TokenizerFile& file : checkpoint.tokenizer_files()) {
    others.push_back(document(file.name, file.text));
  }
  return others;
}

std::vector<OtherTensor> with_values(std::vector<OtherTensor> tensors,
                                     const std::map<std::string, std::vector<float>>& values) {
  for (OtherTensor& tensor : tensors) {
    const auto found = values.find(tensor.spec.name);
    if (found == values.end()) continue;
    tensor.write = [&floats = found->second, spec = tensor.spec](const OtherTensor::Sink& sink) {
      sink(encode_floats(spec.name, spec.type, floats));
    };
  }
  return tensors;
}

}  // namespace transformer
