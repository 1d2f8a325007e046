#include "quantization/options.hpp"

#include <exception>

#include <nash_swarm/core/error.hpp>

#include "command_line.hpp"
#include "transformer/quantizer.hpp"

namespace quantization {
namespace {

double parse_bits(const std::string& word) {
  std::size_t used = 0;
  double value = 0.0;
  try {
    value = std::stod(word, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == 0 || used != word.size() || !(value > 0.0) || value > 64.0) {
    throw nash_swarm::Error("--bits", "\"" + word + "\" is no positive number of bits",
                            "give numbers such as 3 or 2.5, or grid");
  }
  return value;
}

/// "REGEX=FORMAT", cut at the last "=".
std::vector<nash_swarm::FormatRule> parse_rules(const std::string& flag,
                                                const std::vector<std::string>& words) {
  std::vector<nash_swarm::FormatRule> rules;
  for (const std::string& word : words) {
    const std::size_t cut = word.rfind('=');
    if (cut == std::string::npos || cut == 0) {
      throw nash_swarm::Error(flag, "\"" + word + "\" is not REGEX=FORMAT",
                              "give for instance 'mlp=b4_l4'");
    }
    rules.push_back({word.substr(0, cut), word.substr(cut + 1)});
  }
  return rules;
}

}  // namespace

void Options::add_to(CLI::App& app) {
  app.add_option("--model", model, "Folder of a Hugging Face checkpoint" + default_of(model));
  app.add_option("--calibration", calibration, "Text to calibrate on (bundled)");
  app.add_option("--calibration-tokens", calibration_tokens,
                 "Most tokens to calibrate on, in evenly spaced windows (131072; 4096 for "
                 "--profile fast)")
      ->check(CLI::PositiveNumber);
  app.add_option("--calibration-memory", calibration_memory,
                 "Most memory for moments, in MB (half of the machine's); what exceeds it is "
                 "gathered in several passes over the text")
      ->transform(whole_number())
      ->check(CLI::PositiveNumber);
  text.add_to(app);
  auto* bits_flag = app.add_option("--bits", bits,
                                   "Most bits per weight of the matrices, all in; several with "
                                   "commas, or grid (3.0)")
                        ->delimiter(',');
  auto* bytes_flag = app.add_option("--bytes", bytes, "Most bytes of the file")
                         ->transform(whole_number())
                         ->check(CLI::PositiveNumber)
                         ->excludes(bits_flag);
  auto* compression_flag =
      app.add_option("--compression", compression, "Least compression of the file, in percent")
          ->check(CLI::Range(0.0, 100.0))
          ->excludes(bits_flag)
          ->excludes(bytes_flag);
  auto* plan_flag = app.add_option("--plan", plan, "Pack this plan (JSON) instead of a new one");
  for (CLI::Option* flag : {bits_flag, bytes_flag, compression_flag}) plan_flag->excludes(flag);
  app.add_option("--fix", fixed,
                 "REGEX=FORMAT: the only format of the matrices in whose names REGEX is found "
                 "(repeatable)");
  app.add_option("--forbid", forbidden, "REGEX=FORMAT: no format of these matrices (repeatable)");
  app.add_option("--min-bits", min_bits, "Fewest bits per weight of a format");
  app.add_option("--max-bits", max_bits, "Most bits per weight of a format");
  app.add_option(
         "--profile", profile,
         "default: the formats that lose least, measured and finished; fast: those that are "
         "searched fastest, on few tokens")
      ->check(CLI::IsMember({"default", "fast"}))
      ->capture_default_str();
  app.add_option("--without", without,
                 "Piece of the pipeline to leave out, to measure what it brings (repeatable): "
                 "feedback, gradients, windows, rotation, order, measured, cells, finish");
  app.add_option("--method", method, "How to quantize")
      ->check(
          CLI::IsMember({"nash_swarm", "rtn", "gptq", "awq", "hqq", "paper_uniform", "paper_nash"}))
      ->capture_default_str();
  app.add_flag("--compare", compare, "Run nash_swarm and every baseline on the same text");
  app.add_option("--paper-table", paper_table,
                 "Table of the paper's setting instead, for checkpoint folders (bundled "
                 "wiki-gpt2): lm_head only, padded texts; uses --text, --samples, --calibration, "
                 "--calibration-tokens, --seed, --threads, --report")
      ->expected(0, -1);
  app.add_option("--scope", scope, "Which matrices to quantize")
      ->check(CLI::IsMember({"all", "blocks", "lm_head"}))
      ->capture_default_str();
  app.add_option("--seed", seed, "Seed of the rotations")
      ->transform(whole_number())
      ->capture_default_str();
  app.add_option("--threads", threads, "Threads (all cores)")->check(CLI::PositiveNumber);
  app.add_option("--out", out, "Packed file to write (MODEL.nash_swarm.safetensors)");
  app.add_option("--work", work,
                 "Folder of what is done, for other budgets or to go on after an interruption "
                 "(OUT.work, removed at the end)");
  app.add_option(
      "--plan-out", plan_out,
      "Plan to write, to be looked at and edited (JSON); if its name ends in .txt, a plan "
      "of llama.cpp's types instead, for llama-quantize --tensor-type-file");
  app.add_option("--picture", picture, "Picture of the plan to write (SVG)");
  app.add_option("--report", report, "JSON report to write");
  auto* chart_flag =
      app.add_option("--chart", chart, "Chart of KLD over bits of all rows to write (SVG)");
  app.add_flag("--dry-run", dry_run, "Print the sizes without quantizing")->excludes(chart_flag);
  app.add_flag("--list-formats", list_formats, "Print the formats and stop");
}

std::vector<transformer::SizeLimit> Options::size_limits(std::uint64_t float32_bytes) const {
  std::vector<transformer::SizeLimit> limits;
  const bool grid = bits.size() == 1 && bits[0] == "grid";
  if (grid) {
    for (const double most : {2.0, 2.5, 3.0, 3.5, 4.0, 4.5}) limits.push_back({most, {}});
  } else {
    for (const std::string& word : bits) limits.push_back({parse_bits(word), {}});
  }
  if (bytes) limits.push_back({{}, bytes});
  if (compression) {
    const double kept = (1.0 - *compression / 100.0) * static_cast<double>(float32_bytes);
    limits.push_back({{}, static_cast<std::uint64_t>(kept)});
  }
  return limits;
}

nash_swarm::Rules Options::rules() const {
  return {parse_rules("--fix", fixed),
          parse_rules("--forbid", forbidden),
          min_bits,
          max_bits,
          {},
          transformer::families_of_profile(profile)};
}

transformer::Pieces Options::pieces() const {
  transformer::Pieces pieces = transformer::pieces_without(without);
  if (profile == "fast") pieces.measured = pieces.finish = false;
  return pieces;
}

bool Options::asks_for_plans() const {
  return !plan.empty() || !plan_out.empty() || !picture.empty() || !fixed.empty() ||
         !forbidden.empty() || min_bits || max_bits || !without.empty();
}

}  // namespace quantization
