#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nash_swarm/core/thread_pool.hpp>

#include "transformer/loss_change.hpp"
#include "transformer/progress.hpp"
#include "transformer/report.hpp"

namespace transformer {

/// A quantization of the tied token embedding alone, on the texts of the paper protocol.
struct PaperRow {
  ReportRow row;
  LossChange change;           ///< with the padding, as the paper scores
  LossChange unpadded_change;  ///< of the texts themselves

  /// 1 − all-in bytes / float32 bytes of the matrix, in percent.
  double matrix_compression_percent() const;
};

/// One model in the setting of the paper: only the tied head is quantized, texts are cut or padded
/// to 64 tokens, and the padding is scored.
struct PaperTable {
  std::string model;
  EvaluationText text;
  Evaluation float_model;
  double unpadded_loss = 0.0;  ///< of the float model, per token without the padding
  std::vector<PaperRow> rows;  ///< paper_uniform, paper_nash, nash_swarm
};

/// What the tables have in common.
struct PaperSetting {
  std::filesystem::path text;         ///< its first non-blank lines are the texts
  std::filesystem::path calibration;  ///< nash_swarm is calibrated on its lines, in the same form
  std::size_t samples = 100;
  std::size_t calibration_tokens = 32768;
  double compression_percent = 90.5;  ///< least of the matrix by nash_swarm
  std::uint64_t seed = 0;
};

/// Makes the table of every checkpoint folder, once all of them are found to be sound. Writes a
/// packed file into the current folder for the time of its evaluation.
/// @throws nash_swarm::Error naming the checkpoint or the text that is wrong
std::vector<PaperTable> paper_tables(std::span<const std::string> folders,
                                     const PaperSetting& setting, nash_swarm::ThreadPool& pool,
                                     Progress& progress);

/// The tables for people.
std::string format_paper_tables(std::span<const PaperTable> tables);

/// The tables as JSON, whole or not at all.
void write_paper_tables(std::span<const PaperTable> tables, const std::filesystem::path& target);

}  // namespace transformer
