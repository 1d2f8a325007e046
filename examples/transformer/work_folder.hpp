#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nash_swarm/format/matrix_plan.hpp>
#include <nash_swarm/io/calibration_file.hpp>

namespace transformer {

/// Of the bytes of this program, where the system shows them: another build may give other results.
std::uint64_t program_fingerprint();

/// A folder of work that is done, so that a program that was killed goes on where it was.
///
/// Every file appears whole or not at all and states the fingerprint of what it was made from. What
/// has another fingerprint, or is damaged (a warning on stderr), counts as missing and is
/// overwritten. Whoever stores decides what the fingerprint covers: everything that the content
/// depends on.
///
///     calibration.N.safetensors                 moments, see nash_swarm::CalibrationFile
///     NAME.numbers.safetensors
///     MATRIX.FINGERPRINT.packed.safetensors     a packed model of one matrix
class WorkFolder {
 public:
  /// Creates the folder if it is missing, and removes what killed programs left half-written.
  /// @throws nash_swarm::Error naming the folder if it cannot be made or another program uses it
  explicit WorkFolder(std::filesystem::path folder);
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder();

  const std::filesystem::path& path() const noexcept { return path_; }
  /// True if something was in the folder.
  bool resumes() const noexcept { return resumes_; }

  /// Where part `index` of a calibration lies.
  std::filesystem::path calibration_path(std::size_t index) const;
  std::optional<nash_swarm::CalibrationFile> calibration(std::size_t index,
                                                         std::uint64_t fingerprint) const;

  /// Some numbers that were measured.
  std::optional<std::vector<double>> numbers(const std::string& name,
                                             std::uint64_t fingerprint) const;
  void store_numbers(const std::string& name, const std::vector<double>& numbers,
                     std::uint64_t fingerprint) const;

  /// The matrix of a plan, mapped from its file.
  std::optional<nash_swarm::PackedMatrix> packed(const nash_swarm::MatrixPlan& plan,
                                                 std::uint64_t fingerprint) const;
  void store_packed(const nash_swarm::MatrixPlan& plan, const nash_swarm::PackedMatrix& packed,
                    std::uint64_t fingerprint) const;

  /// Removes all files of this kind, and the folder unless something else is in it.
  void remove();

 private:
  void lock();
  std::filesystem::path packed_path(const std::string& matrix, std::uint64_t fingerprint) const;

  std::filesystem::path path_;
  int lock_ = -1;
  bool resumes_ = false;
};

}  // namespace transformer
