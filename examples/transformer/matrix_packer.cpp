#include "transformer/matrix_packer.hpp"

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <nash_swarm/core/fingerprint.hpp>
#include <nash_swarm/model/pack.hpp>

namespace transformer {

nash_swarm::MatrixCalibration MatrixPacker::used_calibration(
    const nash_swarm::MatrixMoments& moments) const {
  return pieces_.gradients ? moments.calibration() : nash_swarm::MatrixCalibration(moments.inputs);
}

nash_swarm::PackedMatrix MatrixPacker::pack(const nash_swarm::MatrixPlan& plan) const {
  const FloatMatrix weights = read_matrix(*checkpoint_.matrix(plan.name), pool_);
  if (!pieces_.feedback) {
    const nash_swarm::InputMoment nothing(plan.name, plan.in_features);
    return nash_swarm::pack(weights.view(), plan, nothing, pool_);
  }
  const auto moments = calibration_.moments(plan.name);
  return nash_swarm::pack(weights.view(), plan, used_calibration(*moments), pool_);
}

nash_swarm::PackedMatrix MatrixPacker::packed(const nash_swarm::MatrixPlan& plan) const {
  if (folder_ == nullptr) return pack(plan);
  const std::uint64_t inputs = fingerprint(plan);
  if (auto stored = folder_->packed(plan, inputs)) return std::move(*stored);
  nash_swarm::PackedMatrix made = pack(plan);
  folder_->store_packed(plan, made, inputs);
  return made;
}

std::uint64_t MatrixPacker::fingerprint(const nash_swarm::MatrixPlan& plan) const {
  nash_swarm::Fingerprint fingerprint;
  fingerprint.add(program_fingerprint());
  fingerprint.add(calibration_.fingerprint());
  fingerprint.add(plan.name);
  fingerprint.add(plan.basis->sign_seed());
  fingerprint.add(std::uint64_t{plan.basis->rotation_block()});
  fingerprint.add(std::uint64_t{pieces_.feedback});
  fingerprint.add(std::uint64_t{pieces_.gradients});
  fingerprint.add(std::as_bytes(std::span(plan.basis->permutation())));
  const std::vector<std::uint8_t> order = nash_swarm::encode_row_order(plan.order);
  fingerprint.add(std::as_bytes(std::span(order)));
  for (std::size_t p = 0; p < plan.cells.panels(); ++p) {
    fingerprint.add(std::as_bytes(plan.cells.panel(p)));
  }
  return fingerprint.value();
}

}  // namespace transformer
