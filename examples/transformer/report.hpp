#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nash_swarm/game/certificate.hpp>

#include "transformer/evaluation.hpp"
#include "transformer/evaluation_text.hpp"

namespace transformer {

/// One line of the table: a quantized model, or a baseline whose size is computed.
struct ReportRow {
  std::string method;
  std::string label;                 ///< for the table: method and rate
  std::optional<std::size_t> group;  ///< of a baseline: weights that share a scale
  std::string scope;
  bool stored = false;  ///< true if the sizes are those of a file that was written and read back
  std::optional<double> requested_bits;
  std::uint64_t matrix_weights = 0;
  std::uint64_t matrix_bytes = 0;
  std::uint64_t other_bytes = 0;
  std::optional<double> predicted_kld;  ///< what the plan expects, in nats
  std::vector<Evaluation> evaluations;  ///< on each text, or none
  std::optional<double> quantize_seconds;
  std::uint64_t peak_memory_bytes = 0;  ///< of the process, when the row was made
  std::optional<nash_swarm::Certificate> certificate;

  std::uint64_t file_bytes() const noexcept { return matrix_bytes + other_bytes; }
  /// On the first text; null if there is none.
  const Evaluation* evaluation() const noexcept {
    return evaluations.empty() ? nullptr : &evaluations.front();
  }
  double bits_per_weight() const noexcept {
    return 8.0 * static_cast<double>(matrix_bytes) / static_cast<double>(matrix_weights);
  }
};

/// A text that models were evaluated on.
struct ReportText {
  EvaluationText text;
  std::optional<Evaluation> float_model;
};

/// What a program found out; README documents the JSON that is made of it.
struct Report {
  std::string model;
  std::uint64_t parameters = 0;
  std::uint64_t matrix_weights = 0;  ///< of the widest scope
  std::vector<ReportText> texts;  ///< the first is that of the table, the others have one together
  std::vector<ReportRow> rows;
  std::vector<std::string> without;  ///< pieces of the pipeline that were left out

  std::uint64_t float32_bytes() const noexcept { return 4 * parameters; }
  double compression_percent(const ReportRow& row) const noexcept;
};

/// Writes the report as JSON, whole or not at all.
/// @throws nash_swarm::Error naming the target if it cannot be written
void write_report(const Report& report, const std::filesystem::path& target);

/// The table for people, and below it the certificates.
std::string format_report(const Report& report);

/// Most memory that this process has held at once, in bytes.
std::uint64_t peak_memory_bytes();

}  // namespace transformer
