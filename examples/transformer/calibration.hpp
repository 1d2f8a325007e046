#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/thread_pool.hpp>
#include <nash_swarm/io/calibration_file.hpp>

#include "transformer/checkpoint.hpp"
#include "transformer/work_folder.hpp"

namespace transformer {

/// Called with the number of weights that are done since the last call.
using WeightProgress = std::function<void(std::size_t weights)>;

/// Where a calibration keeps what it has, and how much of it in memory.
struct CalibrationStore {
  const WorkFolder* folder = nullptr;  ///< nullptr for everything in memory
  /// Bytes of moments that a pass over the text may hold, or those of the largest matrix.
  std::uint64_t memory = UINT64_MAX;
  double seconds_between_saves = 60.0;  ///< at least; 0 to save after every window
};

/// Half of the machine's memory, in bytes.
std::uint64_t half_of_memory();

/// The moments of matrices of a checkpoint over a text, of their inputs and of the gradients of
/// their weights.
///
/// Without a folder all are in memory. With one they are in files, and come back matrix by matrix.
/// Matrices whose moments together fit the memory share a pass over the text; a pass that does not
/// reach down to the first layers goes back only to the layers it needs. So the time of k passes is
/// that of one, and k − 1 times the forward pass and on average half the backward pass. A pass is
/// saved when it ends and, at times, on its way, so that it goes on with the next window; saving
/// takes at most about a twentieth of the time. No moment depends on memory, saves or threads.
class Calibration {
 public:
  Calibration(const Checkpoint& checkpoint,
              std::vector<std::shared_ptr<const WeightSource>> matrices,
              nash_swarm::ThreadPool& pool);

  /// Runs the float model over windows of `tokens`, forth and back; what the folder has is taken
  /// from there.
  /// @param window tokens of a window
  /// @param progress adds up to the weights of all matrices
  void gather(std::span<const std::int32_t> tokens, std::size_t window,
              const CalibrationStore& store, const WeightProgress& progress);

  /// The moments of a matrix, once they are gathered.
  std::shared_ptr<const nash_swarm::MatrixMoments> moments(const std::string& matrix) const;

  /// Of everything that the moments depend on.
  std::uint64_t fingerprint() const noexcept { return fingerprint_; }

 private:
  const Checkpoint& checkpoint_;
  std::vector<std::shared_ptr<const WeightSource>> matrices_;
  nash_swarm::ThreadPool& pool_;
  std::uint64_t fingerprint_ = 0;
  /// Without a folder, by matrix.
  std::map<std::string, std::shared_ptr<nash_swarm::MatrixMoments>> moments_;
  /// With one, by pass.
  std::vector<nash_swarm::CalibrationFile> files_;
  std::map<std::string, std::size_t> file_of_matrix_;
};

}  // namespace transformer
