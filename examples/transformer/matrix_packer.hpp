#pragma once

#include <cstdint>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/format/matrix_plan.hpp>
#include <nash_swarm/format/packed_matrix.hpp>

#include "transformer/calibration.hpp"
#include "transformer/checkpoint.hpp"
#include "transformer/pieces.hpp"
#include "transformer/work_folder.hpp"

namespace transformer {

/// Packs matrices of a checkpoint as their plans say, under the moments of a calibration.
class MatrixPacker {
 public:
  /// All but `pieces` outlive the packer.
  MatrixPacker(const Checkpoint& checkpoint, const Calibration& calibration, const Pieces& pieces,
               nash_swarm::ThreadPool& pool)
      : checkpoint_(checkpoint), calibration_(calibration), pieces_(pieces), pool_(pool) {}
  MatrixPacker(const MatrixPacker&) = delete;
  MatrixPacker& operator=(const MatrixPacker&) = delete;

  /// From now on keeps packed matrices there, and takes from there what fits.
  /// @param folder outlives the packer; nullptr for none
  void use(const WorkFolder* folder) { folder_ = folder; }

  /// What the pieces use of the moments, which it refers to.
  nash_swarm::MatrixCalibration used_calibration(const nash_swarm::MatrixMoments& moments) const;

  /// Packs one matrix, whatever the folder has.
  nash_swarm::PackedMatrix pack(const nash_swarm::MatrixPlan& plan) const;

  /// From the work folder if it is there, else packed and stored.
  nash_swarm::PackedMatrix packed(const nash_swarm::MatrixPlan& plan) const;

  /// Of all that `pack` depends on.
  std::uint64_t fingerprint(const nash_swarm::MatrixPlan& plan) const;

 private:
  const Checkpoint& checkpoint_;
  const Calibration& calibration_;
  Pieces pieces_;
  nash_swarm::ThreadPool& pool_;
  const WorkFolder* folder_ = nullptr;
};

}  // namespace transformer
