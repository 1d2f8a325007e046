#include "transformer/shared_input.hpp"

#include <cstddef>

#include <nash_swarm/kernel/activation.hpp>

namespace transformer {

const nash_swarm::Activations& SharedInput::rounded(const nash_swarm::InputBasis& basis,
                                                    nash_swarm::ActivationBits bits,
                                                    nash_swarm::ThreadPool& pool) const {
  const std::size_t rows = bits == nash_swarm::ActivationBits::eight ? 1 : 2;
  if (!rounded_ || rounded_->basis_fingerprint() != basis.fingerprint() ||
      rounded_->rows_per_token() != rows) {
    rounded_ = std::make_shared<const nash_swarm::Activations>(
        nash_swarm::quantize_activations(basis, values_, pool, bits));
  }
  return *rounded_;
}

}  // namespace transformer
