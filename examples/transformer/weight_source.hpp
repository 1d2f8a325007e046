#pragma once

#include <cstddef>
#include <memory>
#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <string>

#include "transformer/float_matrix.hpp"

namespace nash_swarm {
class SafetensorsFile;
struct StoredTensor;
}  // namespace nash_swarm

namespace transformer {

/// Where the float32 rows of a matrix [out, in] come from, slice by slice. Reading is thread-safe.
class WeightSource {
 public:
  virtual ~WeightSource();
  virtual std::size_t out_features() const = 0;
  virtual std::size_t in_features() const = 0;
  /// Name of the matrix without prefix and ".weight", for instance "h.0.attn.c_attn".
  virtual const std::string& name() const = 0;

  /// Writes rows [begin, begin + rows.extent(0)) of the matrix [out, in] into `rows` (contiguous).
  /// @throws nash_swarm::Error if the rows do not lie within the matrix
  virtual void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const = 0;

  /// Tells that a pass over the matrix is over: what was read may leave memory until the next pass.
  virtual void release() const noexcept {}

 protected:
  /// @throws nash_swarm::Error if `rows` is not contiguous or does not lie within the matrix
  void check_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const;
};

/// Reads rows [begin, begin + rows.extent(0)) in parallel, the same for any number of threads.
/// @param rows [., in], contiguous
void read_in_parallel(const WeightSource& source, std::size_t begin,
                      nash_swarm::TensorView<float, 2> rows, nash_swarm::ThreadPool& pool);

/// The whole matrix [out, in], of which the source is told when it is read.
FloatMatrix read_matrix(const WeightSource& source, nash_swarm::ThreadPool& pool);

/// A matrix in a mapped safetensors file, F32, F16 or BF16 at any alignment, stored [out, in] or,
/// as GPT-2's Conv1D does, [in, out].
class TensorWeightSource : public WeightSource {
 public:
  /// @param file keeps the tensor's bytes alive
  /// @param transposed true if the tensor is stored [in, out]
  /// @throws nash_swarm::Error if the tensor is not a matrix
  TensorWeightSource(std::string name, std::shared_ptr<const nash_swarm::SafetensorsFile> file,
                     const nash_swarm::StoredTensor& tensor, bool transposed);

  std::size_t out_features() const override { return out_; }
  std::size_t in_features() const override { return in_; }
  const std::string& name() const override { return name_; }
  void read_rows(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const override;
  void release() const noexcept override;

 private:
  void read_transposed(std::size_t begin, nash_swarm::TensorView<float, 2> rows) const;

  std::string name_;
  std::shared_ptr<const nash_swarm::SafetensorsFile> file_;
  const nash_swarm::StoredTensor* tensor_;
  bool transposed_;
  std::size_t out_ = 0;
  std::size_t in_ = 0;
};

}  // namespace transformer
