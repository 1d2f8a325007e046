#pragma once

#include <memory>

#include <nash_swarm/core/tensor_view.hpp>
#include <nash_swarm/core/thread_pool.hpp>

namespace nash_swarm {
class Activations;
class InputBasis;
enum class ActivationBits : unsigned char;
}  // namespace nash_swarm

namespace transformer {

/// An input [tokens, in] that several matrices read, one after the other. For packed matrices that
/// share a basis it is rotated and rounded once.
class SharedInput {
 public:
  explicit SharedInput(nash_swarm::TensorView<const float, 2> values) : values_(values) {}

  nash_swarm::TensorView<const float, 2> values() const noexcept { return values_; }

  /// The input in a basis, rounded; valid until one of another basis or width is asked for.
  const nash_swarm::Activations& rounded(const nash_swarm::InputBasis& basis,
                                         nash_swarm::ActivationBits bits,
                                         nash_swarm::ThreadPool& pool) const;

 private:
  nash_swarm::TensorView<const float, 2> values_;
  mutable std::shared_ptr<const nash_swarm::Activations> rounded_;
};

}  // namespace transformer
