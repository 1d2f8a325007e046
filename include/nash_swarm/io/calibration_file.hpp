#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <nash_swarm/calibration/matrix_calibration.hpp>
#include <nash_swarm/core/error.hpp>
#include <nash_swarm/core/fingerprint.hpp>
#include <nash_swarm/io/printable_name.hpp>
#include <nash_swarm/io/safetensors_reader.hpp>
#include <nash_swarm/io/safetensors_writer.hpp>

/// The calibration file: the moments of some matrices of a model, whole or on their way, in a
/// safetensors file.
///
///     NAME.row_squares F64 [2, out]         of the gradients, if there are any
///     NAME.inputs      F32 [1, floats]      sums as SymmetricSums lays them out
///     NAME.gradients   F32 [groups, floats]
///
/// `__metadata__` holds the version, the fingerprint of what the moments were made from, and a
/// manifest in JSON with the shapes and what was seen. Sums are stored as they are, so whoever goes
/// on from a file gets the same bits as without it.
///
/// Size: about 2·in² bytes for the inputs of a matrix and for every group of its rows. With one
/// group for each head's queries, keys and values, in all 1.1 GB for GPT-2 124M, 4.5 GB for 355M,
/// 11.9 GB for 774M and 28.4 GB for 1.5B, where c_attn takes 0.40 GB and mlp.c_proj 0.17 GB.
/// Memory: writing takes none beside the moments, reading those of the matrix that is read.
namespace nash_swarm {

inline constexpr int calibration_file_version = 2;

namespace detail {

inline constexpr std::string_view calibration_version_key = "nash_swarm.calibration";
inline constexpr std::string_view fingerprint_key = "nash_swarm.fingerprint";
inline constexpr std::string_view calibration_manifest_key = "nash_swarm.manifest";

inline namespace NASH_SWARM_TARGET {

inline std::string calibration_manifest(std::span<const MatrixMoments* const> matrices,
                                        std::uint64_t seen) {
  nlohmann::ordered_json manifest = {{"seen", seen}, {"matrices", nlohmann::ordered_json::array()}};
  for (const MatrixMoments* matrix : matrices) {
    nlohmann::ordered_json entry = {{"name", matrix->inputs.name()},
                                    {"in_features", matrix->inputs.in_features()},
                                    {"inputs", matrix->inputs.count()}};
    if (matrix->gradients) {
      entry["out_features"] = matrix->gradients->out_features();
      entry["group_rows"] = matrix->gradients->group_rows();
      entry["tokens"] = matrix->gradients->tokens();
      entry["sequences"] = matrix->gradients->sequences();
    }
    manifest["matrices"].push_back(std::move(entry));
  }
  return manifest.dump();
}

inline SafetensorsLayout calibration_layout(std::span<const MatrixMoments* const> matrices,
                                            std::uint64_t fingerprint, std::uint64_t seen) {
  std::vector<TensorSpec> specs;
  for (const MatrixMoments* matrix : matrices) {
    if (!matrix->gradients) continue;
    specs.push_back({matrix->inputs.name() + ".row_squares",
                     DataType::F64,
                     {GradientMoment::halves, matrix->gradients->out_features()}});
  }
  for (const MatrixMoments* matrix : matrices) {
    const auto add = [&](const char* part, const SymmetricSums& sums) {
      specs.push_back({matrix->inputs.name() + part,
                       DataType::F32,
                       {sums.groups(), SymmetricSums::floats_of_group(sums.channels())}});
    };
    add(".inputs", matrix->inputs.sums());
    if (matrix->gradients) add(".gradients", matrix->gradients->sums());
  }
  return SafetensorsLayout(
      std::move(specs),
      {{"format", "nash_swarm"},
       {std::string(calibration_version_key), std::to_string(calibration_file_version)},
       {std::string(fingerprint_key), fingerprint_text(fingerprint)},
       {std::string(calibration_manifest_key), calibration_manifest(matrices, seen)}});
}

}  // namespace NASH_SWARM_TARGET
}  // namespace detail

inline namespace NASH_SWARM_TARGET {

/// Writes the moments of some matrices; the file appears under its name when it is whole.
/// @param fingerprint of what they were made from: model, text and settings are the caller's to
/// cover
/// @param seen how far the caller is, in any unit
/// @throws Error naming the target if it cannot be written, or a name that is used twice
inline void write_calibration(const std::filesystem::path& target,
                              std::span<const MatrixMoments* const> matrices,
                              std::uint64_t fingerprint, std::uint64_t seen) {
  SafetensorsWriter writer(target, detail::calibration_layout(matrices, fingerprint, seen));
  for (const MatrixMoments* matrix : matrices) {
    if (matrix->gradients) writer.write(std::as_bytes(matrix->gradients->row_squares()));
  }
  for (const MatrixMoments* matrix : matrices) {
    writer.write(std::as_bytes(matrix->inputs.sums().values()));
    if (matrix->gradients) writer.write(std::as_bytes(matrix->gradients->sums().values()));
  }
  writer.commit();
}

}  // namespace NASH_SWARM_TARGET

/// What the manifest of a calibration file says of a matrix.
struct CalibrationEntry {
  std::string name;
  std::size_t in_features = 0;
  std::size_t inputs = 0;        ///< that were added up
  std::size_t out_features = 0;  ///< 0 without gradients, as all that follows
  std::size_t group_rows = 0;
  std::size_t tokens = 0;
  std::size_t sequences = 0;
};

/// A calibration file, mapped; moments are copied out of it matrix by matrix.
class CalibrationFile {
 public:
  /// @throws Error naming the file for one that is no calibration, is damaged, or is of another
  /// version
  explicit CalibrationFile(const std::filesystem::path& path) : file_(path) {
    if (metadata(detail::calibration_version_key) != std::to_string(calibration_file_version)) {
      throw Error(path.string(),
                  "calibration of version " + printable(metadata(detail::calibration_version_key)) +
                      ", this program reads " + std::to_string(calibration_file_version),
                  remedy);
    }
    fingerprint_ = metadata(detail::fingerprint_key);
    const std::string text = metadata(detail::calibration_manifest_key);
    const nlohmann::json manifest = nlohmann::json::parse(text, nullptr, false);
    try {
      seen_ = number(manifest, "seen");
      for (const auto& matrix : manifest.at("matrices")) add_entry(matrix);
    } catch (const nlohmann::json::exception&) {
      throw Error(path.string(), "the manifest lacks an entry or has one of the wrong type",
                  remedy);
    }
  }

  /// True if the moments were made from what this is the fingerprint of.
  bool has_fingerprint(std::uint64_t fingerprint) const {
    return fingerprint_ == fingerprint_text(fingerprint);
  }

  /// How far the writer was, in its own unit.
  std::uint64_t seen() const noexcept { return seen_; }

  /// Names of the matrices, in the order of the file.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const CalibrationEntry& entry : entries_) names.push_back(entry.name);
    return names;
  }

  /// What the file says of a matrix, or nullptr if it is not in it.
  const CalibrationEntry* find(std::string_view name) const noexcept {
    const auto found = places_.find(name);
    return found == places_.end() ? nullptr : &entries_[found->second];
  }

  /// The moments of the inputs of a matrix.
  /// @throws Error naming the file if it has no such matrix or the sums are impossible
  InputMoment inputs(const std::string& name) const {
    const CalibrationEntry& entry = at(name);
    return {name, read_sums(name + ".inputs", 1, entry.in_features), entry.inputs};
  }

  /// All moments of a matrix.
  /// @throws Error as `inputs` does
  MatrixMoments moments(const std::string& name) const {
    const CalibrationEntry& entry = at(name);
    MatrixMoments moments{inputs(name), {}};
    if (entry.group_rows == 0) return moments;
    moments.gradients.emplace(
        name, entry.group_rows,
        read_sums(name + ".gradients", entry.out_features / entry.group_rows, entry.in_features),
        read_row_squares(name + ".row_squares", entry.out_features), entry.tokens, entry.sequences);
    return moments;
  }

 private:
  static constexpr const char* remedy = "remove the file and calibrate again";

  [[noreturn]] void fail(const std::string& name, const std::string& problem) const {
    throw Error(file_.path().string(), printable(name) + ": " + problem, remedy);
  }

  std::string metadata(std::string_view key) const {
    const auto found = file_.metadata().find(std::string(key));
    if (found == file_.metadata().end()) {
      throw Error(file_.path().string(),
                  "not a calibration: its metadata have no " + std::string(key), remedy);
    }
    return found->second;
  }

  std::size_t number(const nlohmann::json& object, const char* key) const {
    const nlohmann::json& value = object.at(key);
    if (!value.is_number_unsigned()) {
      throw Error(file_.path().string(),
                  "the manifest's " + std::string(key) + " is not a number of 0 or more", remedy);
    }
    return value.get<std::size_t>();
  }

  /// Checks shapes against the tensors, so that a lie allocates no more than the file takes.
  void add_entry(const nlohmann::json& json) {
    CalibrationEntry entry;
    entry.name = json.at("name").get<std::string>();
    entry.in_features = number(json, "in_features");
    entry.inputs = number(json, "inputs");
    if (!places_.emplace(entry.name, entries_.size()).second) {
      fail(entry.name, "the matrix occurs twice");
    }
    check_sums(entry.name + ".inputs", 1, entry.in_features);
    if (json.contains("group_rows")) {
      entry.out_features = number(json, "out_features");
      entry.group_rows = number(json, "group_rows");
      entry.tokens = number(json, "tokens");
      entry.sequences = number(json, "sequences");
      if (entry.group_rows == 0 || entry.out_features % entry.group_rows != 0 ||
          entry.tokens < entry.sequences) {
        fail(entry.name, "impossible groups or numbers of tokens");
      }
      check_sums(entry.name + ".gradients", entry.out_features / entry.group_rows,
                 entry.in_features);
      const StoredTensor& squares = file_.at(entry.name + ".row_squares");
      if (squares.type != DataType::F64 ||
          squares.shape != std::vector{GradientMoment::halves, entry.out_features}) {
        fail(squares.name, "not two numbers of F64 for every row");
      }
    }
    entries_.push_back(std::move(entry));
  }

  void check_sums(const std::string& name, std::size_t groups, std::size_t channels) const {
    const StoredTensor& tensor = file_.at(name);
    if (tensor.type != DataType::F32 || tensor.shape.size() != 2 || tensor.shape[0] != groups) {
      fail(name, "expected F32 sums of " + std::to_string(groups) + " groups");
    }
    // A triangle holds more than half the square, which must not overflow.
    const std::size_t floats = tensor.shape[1];
    if (channels == 0 || channels > floats || floats / channels < channels / 2 ||
        floats != SymmetricSums::floats_of_group(channels)) {
      fail(name, "not the sums of " + std::to_string(channels) + " channels");
    }
  }

  const CalibrationEntry& at(const std::string& name) const {
    const CalibrationEntry* const entry = find(name);
    if (entry == nullptr) fail(name, "no such matrix is in the file");
    return *entry;
  }

  SymmetricSums read_sums(const std::string& name, std::size_t groups, std::size_t channels) const {
    SymmetricSums sums(groups, channels);
    const StoredTensor& tensor = file_.at(name);
    read_floats(tensor, 0, sums.values());
    file_.release(tensor);
    for (const float sum : sums.values()) {
      if (!std::isfinite(sum)) fail(name, "a sum is not finite");
    }
    for (std::size_t group = 0; group < groups; ++group) {
      for (std::size_t k = 0; k < channels; ++k) {
        if (sums(group, k, k) < 0.0f) fail(name, "a sum of squares is negative");
      }
    }
    return sums;
  }

  std::vector<double> read_row_squares(const std::string& name, std::size_t rows) const {
    std::vector<double> squares(GradientMoment::halves * rows);
    std::memcpy(squares.data(), file_.at(name).bytes.data(), squares.size() * sizeof(double));
    for (const double square : squares) {
      if (!std::isfinite(square) || square < 0.0) fail(name, "no sum of squares");
    }
    return squares;
  }

  SafetensorsFile file_;
  std::string fingerprint_;
  std::uint64_t seen_ = 0;
  std::vector<CalibrationEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> places_;  // of entries, by name
};

inline namespace NASH_SWARM_TARGET {

/// The calibration file of that name, or nullopt if there is none or its moments were made from
/// something else.
/// @throws Error naming the file for one that is damaged, or no calibration
inline std::optional<CalibrationFile> find_calibration(const std::filesystem::path& path,
                                                       std::uint64_t fingerprint) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return std::nullopt;
  CalibrationFile file(path);
  if (!file.has_fingerprint(fingerprint)) return std::nullopt;
  return file;
}

}  // namespace NASH_SWARM_TARGET
}  // namespace nash_swarm
