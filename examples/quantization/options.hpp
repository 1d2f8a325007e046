#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <nash_swarm/model/rules.hpp>

#include "text_options.hpp"
#include "transformer/pieces.hpp"
#include "transformer/rows.hpp"

namespace quantization {

/// The flags of the programs that quantize.
struct Options {
  std::string model;
  std::string calibration = NASH_SWARM_EXAMPLE_DATA "/calibration.txt";
  std::optional<std::size_t> calibration_tokens;
  std::optional<std::uint64_t> calibration_memory;  // MB
  TextOptions text;
  std::vector<std::string> bits;
  std::optional<std::uint64_t> bytes;
  std::optional<double> compression;
  std::string method = "nash_swarm";
  bool compare = false;
  std::vector<std::string> paper_table;
  std::string scope = "all";
  std::uint64_t seed = 0;
  std::size_t threads = 0;
  std::vector<std::string> fixed;
  std::vector<std::string> forbidden;
  std::string profile = "default";
  std::vector<std::string> without;
  std::optional<double> min_bits;
  std::optional<double> max_bits;
  std::string plan;
  std::string plan_out;
  std::string picture;
  std::string out;
  std::string work;
  std::string report;
  std::string chart;
  bool dry_run = false;
  bool list_formats = false;

  std::size_t tokens_to_calibrate_on() const {
    return calibration_tokens.value_or(profile == "fast" ? 4096 : 131072);
  }

  void add_to(CLI::App& app);

  /// The sizes that the flags ask for; empty if they say nothing.
  /// @param float32_bytes of the model's file, for a compression
  /// @throws nash_swarm::Error for what is no size
  std::vector<transformer::SizeLimit> size_limits(std::uint64_t float32_bytes) const;

  /// @throws nash_swarm::Error for a word that is not REGEX=FORMAT
  nash_swarm::Rules rules() const;

  /// Those of the profile: `fast` neither measures matrices and plans nor finishes.
  /// @throws nash_swarm::Error for an unknown piece
  transformer::Pieces pieces() const;

  /// True if flags are given that mean something for plans only, which baselines have not.
  bool asks_for_plans() const;

  /// True if the plan is one for llama-quantize, which then is all that is made.
  bool plans_for_llama_cpp() const { return plan_out.ends_with(".txt"); }

  /// True if the matrices of nash_swarm itself are packed.
  bool packs() const { return !plans_for_llama_cpp() && (compare || method == "nash_swarm"); }

  /// True if a method has to know what its matrices read.
  bool calibrates() const {
    return packs() || plans_for_llama_cpp() || method == "gptq" || method == "awq";
  }

  /// True if what stays float is tuned once the codes are fixed.
  bool finishes() const { return pieces().finish; }
};

}  // namespace quantization
